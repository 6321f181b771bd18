"""What is known of whom: one view for each kind of thing that people judge.

A row says what was known from `event_time` on. `event_time` is when the service computed it, not
when people judged: what had not arrived yet was not known, and must not be in a training set.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

KINDS = ("prompt", "model", "variant", "chunk", "document", "segment")
# known_at: `event_time` in seconds since 1970, for readers that are not told of it otherwise.
FEATURES = ("score", "mean", "judgements", "accounts", "votes", "known_at")
KEYS = ("tenant", "entity_id", "metric")
EVENT_TIME, CREATED_TIME = "event_time", "created_time"
TIME_TO_LIVE = timedelta(days=400)

ENTITIES = [Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in KEYS]


def views(history: Path) -> list[FeatureView]:
    """history: folder with a folder of Parquet files for each kind."""
    return [_view(kind, history / kind) for kind in KINDS]


def view_name(kind: str) -> str:
    """`chunk` -> `chunk_feedback`."""
    return f"{kind}_feedback"


def _view(kind: str, folder: Path) -> FeatureView:
    return FeatureView(
        name=view_name(kind),
        entities=ENTITIES,
        ttl=TIME_TO_LIVE,
        schema=[Field(name=name, dtype=Float64) for name in FEATURES],
        online=True,
        source=FileSource(
            name=f"{kind}_history",
            path=str(folder),
            timestamp_field=EVENT_TIME,
            created_timestamp_column=CREATED_TIME,
        ),
        description=f"What people think of a {kind}.",
    )
