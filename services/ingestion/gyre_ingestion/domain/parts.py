"""Cuts a revision's chunks into parts, each small enough for one event."""

from collections.abc import Iterator, Mapping, Sequence

from gyre_ingestion.domain.chunking import Chunk

MAX_PART_BYTES = 448 * 1024
"""Bytes of one part's event at most; an event may have 512 KiB, the rest is for its headers."""

_VECTOR_BYTES = 4 * 1024
"""Room for the vector that the part's next event carries beside each chunk: 1,024 float32."""

_FIELDS_BYTES = 256


def parts_of(
    chunks: Sequence[Chunk], source_bytes: int, max_chunks: int = 64
) -> tuple[tuple[Chunk, ...], ...]:
    """All chunks in order, in parts of at most `max_chunks` and of bounded bytes."""
    return tuple(map(tuple, _grouped(chunks, MAX_PART_BYTES - source_bytes, max_chunks)))


def source_bytes(title: str, source_uri: str, metadata: Mapping[str, str]) -> int:
    """Upper bound of the bytes that every part spends on saying where its document came from."""
    texts = [title, source_uri, *metadata.keys(), *metadata.values()]
    return _FIELDS_BYTES + sum(8 + len(text.encode()) for text in texts)


def _grouped(chunks: Sequence[Chunk], budget: int, max_chunks: int) -> Iterator[list[Chunk]]:
    part: list[Chunk] = []
    spent = 0
    for chunk in chunks:
        cost = _cost(chunk)
        if part and (spent + cost > budget or len(part) == max_chunks):
            yield part
            part, spent = [], 0
        part.append(chunk)
        spent += cost
    if part:
        yield part


def _cost(chunk: Chunk) -> int:
    texts = (chunk.text, *chunk.heading_path)
    sentences = 16 * len(chunk.sentences)
    return _VECTOR_BYTES + _FIELDS_BYTES + sentences + sum(8 + len(text.encode()) for text in texts)
