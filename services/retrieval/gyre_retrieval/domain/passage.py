"""Passages: what is kept, found and cited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gyre_retrieval.domain.errors import PartRefused
from gyre_retrieval.domain.identity import DocumentKey, Version
from gyre_retrieval.domain.vector import Vector


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage's text and its place. sentences: (start, end) in code points of `text`."""

    chunk_id: str
    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    page: int
    sentences: tuple[tuple[int, int], ...]
    token_count: int
    start_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Source:
    """What is known about a document beside its text."""

    source_uri: str
    title: str
    media_type: str
    language: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of one version of one document."""

    document: DocumentKey
    version: Version
    revision_id: str
    source: Source
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class EmbeddedPassage:
    """A passage and its unit vector."""

    passage: Passage
    vector: Vector


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a version's passages, with their vectors. part_index counts from 0."""

    document: DocumentKey
    version: Version
    revision_id: str
    part_index: int
    part_count: int
    embedder: str
    dimension: int
    passages: tuple[EmbeddedPassage, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.part_index < self.part_count:
            raise PartRefused("bad_part", f"part {self.part_index} of {self.part_count}")
        if self.version.revision < 1:
            raise PartRefused("bad_revision", "revisions count from 1")
        ids = {embedded.passage.chunk.chunk_id for embedded in self.passages}
        if len(ids) != len(self.passages) or "" in ids:
            raise PartRefused("bad_chunk_ids", "chunk ids are empty or stand twice")
