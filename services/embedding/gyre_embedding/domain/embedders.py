"""Embedding models that were trained, and their names on the model server."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "emb-"
TWIN = "-query"
LONGEST = 32
MARK = 8


@dataclass(frozen=True)
class Trained:
    """A version in the registry. uri: its folder. content_hash: SHA-256 of what it holds."""

    name: str
    version: int
    uri: str
    content_hash: str


@dataclass(frozen=True)
class Ready:
    """An embedder that is loaded and makes usable vectors of `dimension` numbers."""

    embedder: str
    dimension: int


def embedder_name(trained: Trained, *, marked: bool = False) -> str:
    """Its name on the model server: `emb-<name>-v<version>`.

    marked: with the first characters of its content hash, where another one has the plain name.
    """
    name = re.sub(r"[^a-z0-9._-]", "-", trained.name.lower())[:LONGEST]
    plain = f"{PREFIX}{name}-v{trained.version}"
    return f"{plain}-{trained.content_hash[:MARK]}" if marked else plain


def with_twin(embedder: str) -> tuple[str, str]:
    """Both models of an embedder: for bulk work, and for queries."""
    return embedder, embedder + TWIN


def was_trained(embedder: str) -> bool:
    """Whether the service brought it to the model server; others are an operator's."""
    return embedder.startswith(PREFIX)
