"""What the files of a model say about its answers, whichever engine reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def end_ids(sources: Iterable[Any]) -> frozenset[int]:
    """All that any of the model's files calls an end of sequence."""
    ids: set[int] = set()
    for source in sources:
        value = getattr(source, "eos_token_id", None)
        ids.update(value if isinstance(value, list) else [value] if value is not None else [])
    return frozenset(ids)


def own_limit(config: Any) -> int:
    """Tokens that the architecture can place; sliding windows are served up to the window."""
    limit = int(getattr(config, "max_position_embeddings", None) or 1 << 30)
    kinds = getattr(config, "layer_types", None) or []
    window = getattr(config, "sliding_window", None)
    if window and ("sliding_attention" in kinds or not kinds):
        limit = min(limit, int(window))
    return limit
