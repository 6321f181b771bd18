"""Poison of every kind ends among the dead letters, and the innocent are applied."""

from __future__ import annotations

import pytest
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus import Listeners, subject_of
from gyre_runtime.events.compose import compose

DURABLE = "embedding-document_chunked"
SUBJECT = subject_of(DocumentChunked, "acme")
PROTOBUF = {"Content-Type": "application/protobuf"}
JSON = {"Content-Type": "application/json"}

POISON = {
    "bad bytes": (SUBJECT, PROTOBUF, b"\xff\xff\xff\xff", "bad_body"),
    "bad json": (SUBJECT, JSON, b"{not json", "bad_body"),
    "json of another shape": (SUBJECT, JSON, b'{"partIndex": "many"}', "bad_body"),
    "json that is no object": (SUBJECT, JSON, b"[1, 2]", "bad_body"),
    "not utf-8": (SUBJECT, JSON, b"\xff\xfe{}", "bad_body"),
    "no content type": (SUBJECT, {}, b"{}", "bad_content_type"),
    "another content type": (SUBJECT, {"Content-Type": "text/html"}, b"", "bad_content_type"),
    "unknown type": (
        SUBJECT,
        PROTOBUF | {"ce-type": "gyre.ingestion.v1.DocumentBurnt"},
        b"",
        "unknown_type",
    ),
    "unknown version": (
        SUBJECT,
        PROTOBUF | {"ce-type": "gyre.ingestion.v2.DocumentChunked"},
        b"",
        "unknown_version",
    ),
    "tenant with hostile characters": (
        "gyre.ingestion.v1.document_chunked.a$b;drop",
        PROTOBUF,
        b"",
        "bad_tenant",
    ),
    "tenant too long": (
        "gyre.ingestion.v1.document_chunked." + "t" * 65,
        PROTOBUF,
        b"",
        "bad_tenant",
    ),
    "id too long": (SUBJECT, PROTOBUF | {"ce-id": "i" * 300}, b"", "bad_envelope"),
    "no time": (SUBJECT, PROTOBUF | {"ce-time": "yesterday"}, b"", "bad_envelope"),
    "oversize": (SUBJECT, PROTOBUF, b"\x08\x01" * (300 * 1024), "oversize"),
    "oversize beyond what a letter holds": (SUBJECT, PROTOBUF, b"x" * 916_000, "oversize"),
    "deep": (SUBJECT, JSON, b'{"a":' * 5000 + b"1" + b"}" * 5000, "bad_body"),
    "huge number": (SUBJECT, JSON, b'{"partIndex": 1e400}', "bad_body"),
    "not a number": (SUBJECT, JSON, b'{"partIndex": NaN}', "bad_body"),
}


@pytest.mark.parametrize("with_database", [True, False], ids=["inbox", "no database"])
async def test_poison_is_set_aside_with_its_reason_and_the_innocent_are_applied(
    world, toolbox, with_database
):
    heard: list[int] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked, concurrency=4)
    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)

    database = await world.database("heard") if with_database else None
    await world.bus("embedding", listeners, database)
    for number, (subject, headers, body, _) in enumerate(POISON.values()):
        await world.jetstream.publish(subject, body, headers=headers)
        innocent = DocumentChunked(part_index=number + 1)
        event = compose(innocent, tenant="acme", entity_id="d", cause="c")
        await world.jetstream.publish(event.subject, event.body, headers=event.headers)
    letters = await world.dead_letters(len(POISON))
    await world.drained(DURABLE, held=2 * len(POISON))

    reasons = {letter.origin_sequence: letter.reason for letter in letters}
    expected = {2 * number + 1: case[3] for number, case in enumerate(POISON.values())}
    assert reasons == expected
    assert sorted(heard) == list(range(1, len(POISON) + 1))
    assert not world.fatal


async def test_a_person_may_publish_json_by_hand(world, toolbox):
    heard = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        heard.append((event.part_index, event.revision.document_id, delivery.tenant))

    await world.bus("embedding", listeners, await world.database("heard"))
    body = b'{"partIndex": 4, "revision": {"documentId": "d\\u00fc"}, "fieldOfTomorrow": 1}'
    await world.jetstream.publish(SUBJECT, body, headers=JSON)
    await world.drained(DURABLE)
    assert heard == [(4, "dü", "acme")]
    assert (await world.jetstream.stream_info("DEADLETTERS")).state.messages == 0
