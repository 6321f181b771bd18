from gyre.embedding.v1.events_pb2 import ChunksEmbedded, EmbeddedChunk
from gyre_ingestion.domain.chunking import Chunk, SentenceSpan
from gyre_ingestion.domain.parts import parts_of, source_bytes
from gyre_ingestion.wire import _chunk
from hypothesis import given, settings
from hypothesis import strategies as st

EVENT_BYTES = 512 * 1024


def chunk(ordinal: int, text: str, headings: tuple[str, ...] = ()) -> Chunk:
    spans = tuple(SentenceSpan(place, place + 1) for place in range(0, len(text), 40))
    return Chunk(ordinal, text, headings, 1, spans, 256, 0, len(text))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9000), min_size=1, max_size=200),
    st.integers(1, 100),
    st.sampled_from("a€𝄞"),
)
def test_parts_hold_all_chunks_in_order_and_are_small_enough_with_vectors(
    sizes: list[int], most: int, letter: str
) -> None:
    metadata = {f"{n:064}": letter * 1024 for n in range(32)}
    spent = source_bytes(letter * 256, letter * 2048, metadata)
    chunks = [chunk(n, letter * size, ("Heading",) * 3) for n, size in enumerate(sizes)]
    parts = parts_of(chunks, spent, most)
    assert [one for part in parts for one in part] == chunks
    assert all(1 <= len(part) <= most for part in parts)
    for part in parts:
        event = ChunksEmbedded(
            chunks=[EmbeddedChunk(chunk=_chunk("r" * 36, one), vector=b"v" * 4096) for one in part]
        )
        event.source.title = letter * 256
        event.source.source_uri = letter * 2048
        event.source.metadata.update(metadata)
        assert len(part) == 1 or event.ByteSize() <= EVENT_BYTES
