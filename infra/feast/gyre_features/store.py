"""Feast, put together from a folder and an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from feast import FeatureStore, RepoConfig

from gyre_features.definitions import (
    CREATED_TIME,
    ENTITIES,
    EVENT_TIME,
    FEATURES,
    KEYS,
    KINDS,
    view_name,
    views,
)
from gyre_features.history import KNOWN_FROM, NOBODY, History

PROJECT = "gyre"
Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """folder: registry, history and the SQLite online store. online: `sqlite`, or the address of
    a Redis or PostgreSQL server."""

    folder: Path
    online: str = "sqlite"

    @property
    def history(self) -> Path:
        return self.folder / "history"


def configuration(place: Place) -> RepoConfig:
    """Raises ValueError for an online store that is not known."""
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry=str(place.folder / "registry.db"),
        online_store=online_store(place),
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )


class Features:
    """Writes and reads; one object per process, not for several threads."""

    def __init__(self, place: Place) -> None:
        self._history = {kind: History(place.history / kind) for kind in KINDS}
        for history in self._history.values():
            history.prepare()
        self._store = FeatureStore(config=configuration(place))
        self._store.apply([*ENTITIES, *views(place.history)])

    def write(self, kind: str, rows: Sequence[Row], batch: str) -> None:
        """History first: what is visible online is never unknown offline. May be repeated."""
        frame = _frame(rows)
        self._history[kind].add(frame, batch)
        newest = frame.sort_values(EVENT_TIME).drop_duplicates(list(KEYS), keep="last")
        self._store.write_to_online_store(view_name(kind), newest)

    def now(self, kind: str, keys: Sequence[Row]) -> list[Row]:
        """What is known of each, in order; values are None where nothing is."""
        view = view_name(kind)
        names = [f"{view}:{name}" for name in FEATURES]
        wanted = [_keys(row) for row in keys]
        found = self._store.get_online_features(names, wanted)
        columns = found.to_dict()
        return [{name: columns[name][at] for name in FEATURES} for at in range(len(wanted))]

    def then(self, kind: str, keys: Sequence[Row]) -> list[Row]:
        """What was known of each at its `as_of_time`, in order: nothing of later."""
        nobody = {**dict.fromkeys(KEYS, NOBODY), "as_of_time": KNOWN_FROM + 1}
        there = self._history[kind].keys()
        asked = pd.DataFrame(
            [
                {**_keys(row), "place": at, "event_timestamp": _time(row["as_of_time"])}
                for at, row in enumerate([*keys, nobody])
                if tuple(_keys(row).values()) in there
            ]
        )
        view = view_name(kind)
        names = [f"{view}:{name}" for name in FEATURES]
        found = self._store.get_historical_features(asked, names).to_df()
        # Feast's file store leaves out entities of which only later rows are there.
        known = {row["place"]: _values(row) for row in found.to_dict("records")}
        nothing: Row = dict.fromkeys(FEATURES)
        return [known.get(at, nothing) for at in range(len(keys))]


def online_store(place: Place) -> Row:
    """Feast's words for the address. Raises ValueError for one that is not known."""
    if place.online == "sqlite":
        return {"type": "sqlite", "path": str(place.folder / "online.db")}
    address = urlsplit(place.online)
    if address.scheme == "redis":
        password = f",password={address.password}" if address.password else ""
        return {
            "type": "redis",
            "connection_string": f"{address.hostname}:{address.port or 6379}{password}",
        }
    if address.scheme.startswith("postgresql"):
        return {
            "type": "postgres",
            "host": address.hostname,
            "port": address.port or 5432,
            "database": address.path.strip("/"),
            "user": address.username,
            "password": address.password or "",
        }
    raise ValueError(f"{place.online!r}: give sqlite, redis://... or postgresql://...")


def _keys(row: Row) -> Row:
    return {key: row[key] for key in KEYS}


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    now = datetime.now(UTC)
    frame = pd.DataFrame(rows, columns=[*KEYS, *FEATURES, EVENT_TIME])
    frame["known_at"] = frame[EVENT_TIME].astype(float)
    frame[EVENT_TIME] = [_time(seconds) for seconds in frame[EVENT_TIME]]
    frame[CREATED_TIME] = pd.Timestamp(now)
    return frame


def _time(seconds: float) -> pd.Timestamp:
    """To the microsecond, which is as fine as the history is."""
    return pd.Timestamp(round(seconds * 1_000_000), unit="us", tz="UTC")


def _values(row: Row) -> Row:
    return {name: None if pd.isna(row[name]) else float(row[name]) for name in FEATURES}
