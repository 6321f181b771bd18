"""Names, ids and headers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gyre.embedding.v1.events_pb2 import ChunksNotEmbedded
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentReceived
from gyre_runtime.bus import durable_of, event_id, stream_of, subject_of
from gyre_runtime.events.envelope import (
    HEADER_LIMIT,
    Envelope,
    encode_value,
    headers_of,
    read_envelope,
)
from gyre_runtime.events.names import dead_letter_subject
from hypothesis import given
from hypothesis import strategies as st


def test_names_follow_from_the_event():
    assert subject_of(DocumentChunked, "acme") == "gyre.ingestion.v1.document_chunked.acme"
    assert stream_of(ChunksNotEmbedded) == "EMBEDDING"
    assert durable_of("embedding", DocumentChunked) == "embedding-document_chunked"


def test_a_consumer_name_over_32_characters_is_refused():
    with pytest.raises(ValueError, match="32"):
        durable_of("a-listener-with-a-long-name", DocumentChunked)


def test_an_id_repeats_with_cause_and_content_only():
    first = event_id(DocumentChunked(part_index=1), cause="c")
    assert first == event_id(DocumentChunked(part_index=1), cause="c")
    assert first != event_id(DocumentChunked(part_index=2), cause="c")
    assert first != event_id(DocumentChunked(part_index=1), cause="d")
    assert first != event_id(DocumentReceived(), cause="c")


def test_a_dead_letter_has_a_subject_whatever_the_message_was():
    assert dead_letter_subject("embedding", "x", "a.b>") == "gyre.deadletters.v1.embedding.x._"


@given(st.text())
def test_a_header_value_is_printable_ascii_and_at_most_one_kilobyte(text):
    encoded = encode_value(text)
    assert len(encoded) <= HEADER_LIMIT
    assert all(0x21 <= ord(character) <= 0x7E for character in encoded)


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_an_envelope_survives_the_wire(entity, correlation):
    said = Envelope(
        event_id="id-1",
        type="gyre.ingestion.v1.DocumentChunked",
        source="gyre/ingestion",
        time=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        entity_id=entity,
        tenant="acme",
        correlation_id=correlation,
        causation_id="",
    )
    heard = read_envelope(
        "gyre.ingestion.v1.document_chunked.acme",
        headers_of(said),
        expected=said.type,
        fallback_id=lambda: "none",
        time=datetime.now(UTC),
    )
    assert heard == said
