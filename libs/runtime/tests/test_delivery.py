"""Promises of delivery, on the real server."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from gyre.ingestion.v1.events_pb2 import DocumentChunked, DocumentReceived
from gyre_runtime.bus import (
    Delivery,
    Listeners,
    NotPublished,
    PermanentError,
    event_id,
    subject_of,
)
from gyre_runtime.bus import trial as trial_module
from gyre_runtime.bus.incoming import NatsIncoming
from gyre_runtime.bus.redrive import redrive
from gyre_runtime.events.compose import compose
from nats.aio.msg import Msg

DURABLE = "embedding-document_chunked"
CHUNKED = subject_of(DocumentChunked, "acme")


def listening(handler, **options) -> Listeners:
    listeners = Listeners("embedding")
    listeners.on(DocumentChunked, **options)(handler)
    return listeners


async def say(database, *parts: int, tenant: str = "acme") -> None:
    async with database.transaction() as transaction:
        for part in parts:
            transaction.say(
                DocumentChunked(part_index=part), tenant=tenant, entity_id="doc-1", cause="upload"
            )


async def test_an_event_said_in_a_transaction_arrives_with_its_envelope(world, toolbox):
    heard: list[tuple[DocumentChunked, Delivery]] = []

    async def on_document_chunked(event, delivery):
        heard.append((event, delivery))

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), await world.database("heard"))
    await say(said, 7)
    await toolbox.eventually(lambda: bool(heard))

    event, delivery = heard[0]
    assert event.part_index == 7
    assert delivery.tenant == "acme"
    assert delivery.attempt == 1
    assert delivery.envelope.entity_id == "doc-1"
    assert delivery.envelope.source == "gyre/ingestion"
    assert delivery.envelope.event_id == event_id(DocumentChunked(part_index=7), cause="upload")


async def test_a_rolled_back_transaction_says_nothing(world, toolbox):
    said = await world.database("said", toolbox.effects_table)
    await world.bus("ingestion", database=said)

    async def change_its_mind() -> None:
        async with said.transaction() as transaction:
            table = said.metadata.tables["effects"]
            await transaction.connection.execute(table.insert().values(part=1))
            transaction.say(DocumentChunked(), tenant="acme", entity_id="d")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await change_its_mind()
    assert await said.count_unsent(10) == 0
    assert await toolbox.effects(said) == []


async def test_a_lost_acknowledgement_does_not_double_the_effect(world, toolbox, monkeypatch):
    lost: list[int] = []
    acknowledge = NatsIncoming.ack

    async def lose_the_first(self: NatsIncoming) -> None:
        if not lost:
            lost.append(self.sequence)
            return
        await acknowledge(self)

    monkeypatch.setattr(NatsIncoming, "ack", lose_the_first)
    heard = await world.database("heard", toolbox.effects_table)

    async def on_document_chunked(event, delivery):
        await toolbox.apply_effect(heard, event)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), heard)
    await say(said, 1, 2)
    await world.drained(DURABLE)
    await toolbox.eventually(lambda: len(lost) == 1)
    assert await toolbox.effects(heard) == [1, 2]


async def test_acknowledgements_given_together_are_one_question_to_the_bus(world, monkeypatch):
    questions: list[str] = []
    acknowledge = Msg.ack_sync

    async def count(self: Msg, timeout: float) -> Msg:
        questions.append(self.reply)
        return await acknowledge(self, timeout)

    monkeypatch.setattr(Msg, "ack_sync", count)
    together = asyncio.Barrier(10)

    async def on_document_chunked(event, delivery):
        await together.wait()

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked, concurrency=10), None)
    await say(said, *range(10))
    await world.drained(DURABLE, held=10)
    assert len(questions) < 10
    info = await world.jetstream.consumer_info("INGESTION", DURABLE)
    assert info.num_redelivered == 0
    assert info.ack_floor.stream_seq == 10


async def test_an_event_is_handled_while_the_acknowledgement_of_the_last_is_on_its_way(
    world, monkeypatch
):
    heard: list[int] = []
    both = asyncio.Event()
    acknowledge = NatsIncoming.ack

    async def wait_for_both(self: NatsIncoming) -> None:
        await both.wait()
        await acknowledge(self)

    monkeypatch.setattr(NatsIncoming, "ack", wait_for_both)

    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)
        if len(heard) == 2:
            both.set()

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked, concurrency=1), None)
    await say(said, 1, 2)
    await world.drained(DURABLE, held=2)
    assert heard == [1, 2]


async def test_acknowledgements_that_the_bus_does_not_answer_double_nothing(
    world, toolbox, monkeypatch
):
    unanswered: list[str] = []
    acknowledge = Msg.ack_sync

    async def lose_the_first(self: Msg, timeout: float) -> Msg:
        if not unanswered:
            unanswered.append(self.reply)
            raise TimeoutError
        return await acknowledge(self, timeout)

    monkeypatch.setattr(Msg, "ack_sync", lose_the_first)
    heard = await world.database("heard", toolbox.effects_table)

    async def on_document_chunked(event, delivery):
        await toolbox.apply_effect(heard, event)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked, concurrency=4), heard)
    await say(said, *range(8))
    await world.drained(DURABLE, held=8)
    assert len(unanswered) == 1
    assert await toolbox.effects(heard) == list(range(8))


async def test_an_event_published_again_beyond_the_window_is_applied_once(world, toolbox):
    heard = await world.database("heard", toolbox.effects_table)

    async def on_document_chunked(event, delivery):
        await toolbox.apply_effect(heard, event)

    await world.bus("embedding", listening(on_document_chunked, concurrency=4), heard)
    event = compose(DocumentChunked(part_index=3), tenant="acme", entity_id="d", cause="c")
    for repeat in range(5):
        headers = event.headers | {"Nats-Msg-Id": f"window-{repeat}"}
        await world.jetstream.publish(event.subject, event.body, headers=headers)
    await world.drained(DURABLE)
    assert await toolbox.effects(heard) == [3]


async def test_one_tenant_cannot_swallow_anothers_event_by_using_its_id(world, toolbox):
    heard: list[str] = []

    async def on_document_chunked(event, delivery):
        heard.append(delivery.tenant)

    await world.bus("embedding", listening(on_document_chunked), await world.database("heard"))
    for number, tenant in enumerate(("mallory", "acme")):
        event = compose(DocumentChunked(), tenant=tenant, entity_id="d", cause="c")
        headers = event.headers | {"Nats-Msg-Id": f"m-{number}", "ce-id": "the-same"}
        await world.jetstream.publish(event.subject, event.body, headers=headers)
    await world.drained(DURABLE)
    assert sorted(heard) == ["acme", "mallory"]


async def test_a_failed_handler_leaves_no_effect_and_runs_again(world, toolbox, monkeypatch):
    monkeypatch.setattr(trial_module, "delay_after", lambda attempt: 0.05)
    heard = await world.database("heard", toolbox.effects_table)
    attempts: list[int] = []

    async def on_document_chunked(event, delivery):
        attempts.append(delivery.attempt)
        async with heard.transaction() as transaction:
            table = heard.metadata.tables["effects"]
            await transaction.connection.execute(table.insert().values(part=event.part_index))
            if delivery.attempt < 3:
                raise ConnectionError("the model server is away")

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), heard)
    await say(said, 5)
    await world.drained(DURABLE)
    assert attempts == [1, 2, 3]
    assert await toolbox.effects(heard) == [5]


async def test_a_transient_failure_is_tried_twelve_times_then_set_aside(world, monkeypatch):
    monkeypatch.setattr(trial_module, "delay_after", lambda attempt: 0.01)
    attempts: list[int] = []

    async def on_document_chunked(event, delivery):
        attempts.append(delivery.attempt)
        raise ConnectionError("away")

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), await world.database("heard"))
    await say(said, 1)
    (letter,) = await world.dead_letters(1)
    assert attempts == list(range(1, 13))
    assert letter.reason == "attempts_exhausted"
    assert letter.attempts == 12
    assert "away" in letter.detail


async def test_a_permanent_error_is_set_aside_at_once_with_its_origin(world):
    attempts: list[int] = []

    async def on_document_chunked(event, delivery):
        attempts.append(delivery.attempt)
        raise PermanentError("wrong_dimension", "vectors have 3 numbers, the index wants 384 %")

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), await world.database("heard"))
    await say(said, 1)
    (letter,) = await world.dead_letters(1)
    await world.drained(DURABLE)
    assert attempts == [1]
    assert letter.reason == "wrong_dimension"
    assert letter.detail == "vectors have 3 numbers, the index wants 384 %"
    assert letter.listener == "embedding"
    assert letter.tenant == "acme"
    assert (letter.origin_stream, letter.origin_sequence) == ("INGESTION", 1)
    assert letter.event_type == "gyre.ingestion.v1.DocumentChunked"
    assert letter.body == DocumentChunked(part_index=1).SerializeToString()


async def test_a_listener_is_told_of_what_was_set_aside_and_a_redrive_still_applies(world, toolbox):
    told: list[tuple[int, int, str]] = []
    heard: list[int] = []

    async def on_document_chunked(event, delivery):
        if not told:
            raise PermanentError("broken", "it is broken")
        heard.append(event.part_index)

    async def given_up(event, delivery, detail):
        told.append((event.part_index, delivery.attempt, detail))

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    listeners = listening(on_document_chunked, given_up=given_up)
    await world.bus("embedding", listeners, await world.database("heard"))
    await say(said, 7)
    (letter,) = await world.dead_letters(1)
    await toolbox.eventually(lambda: bool(told))
    await redrive(world.jetstream, letter.sequence)
    await toolbox.eventually(lambda: bool(heard))
    assert (told, heard) == ([(7, 1, "it is broken")], [7])


async def test_a_handler_over_its_budget_is_ended_and_tried_again(world, toolbox, monkeypatch):
    monkeypatch.setattr(trial_module, "delay_after", lambda attempt: 0.05)
    attempts: list[int] = []

    async def on_document_chunked(event, delivery):
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            await asyncio.sleep(3600)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    listeners = listening(on_document_chunked, budget=1.0)
    await world.bus("embedding", listeners, await world.database("heard"))
    await say(said, 1)
    await world.drained(DURABLE)
    assert attempts == [1, 2]


async def test_heartbeats_keep_a_long_handler_from_running_twice(world, toolbox):
    starts: list[int] = []

    async def on_document_chunked(event, delivery):
        starts.append(delivery.attempt)
        await asyncio.sleep(5)  # ack_wait is 2 s

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), None)
    await say(said, 1)
    await toolbox.eventually(lambda: bool(starts))
    await world.drained(DURABLE)
    assert starts == [1]
    info = await world.jetstream.consumer_info("INGESTION", DURABLE)
    assert info.num_redelivered == 0


async def test_so_many_events_are_handled_at_once_as_the_listener_allows(world, toolbox):
    running, most = 0, 0

    async def on_document_chunked(event, delivery):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked, concurrency=3), None)
    await say(said, *range(12))
    await toolbox.eventually(lambda: most == 3)
    await world.drained(DURABLE)
    assert most == 3


async def test_without_a_database_publish_is_acknowledged_and_a_repeat_is_dropped(world):
    bus = await world.bus("ingestion")
    for _ in range(3):
        await bus.publish(DocumentChunked(part_index=1), tenant="acme", entity_id="d", cause="x")
    state = (await world.jetstream.stream_info("INGESTION")).state
    assert state.messages == 1


async def test_publishing_where_no_stream_is_says_what_to_do(world):
    await world.jetstream.delete_stream("INGESTION")
    bus = await world.bus("ingestion")
    with pytest.raises(NotPublished, match="gyre_provisioner"):
        await bus.publish(DocumentChunked(), tenant="acme", entity_id="d", cause="x")


async def test_a_tenant_that_is_no_token_cannot_be_spoken_for(world):
    bus = await world.bus("ingestion")
    for tenant in ("a.b", "*", ">", "", "a b", "x" * 65):
        with pytest.raises(ValueError, match="letters, digits"):
            await bus.publish(DocumentChunked(), tenant=tenant, entity_id="d", cause="x")


async def test_an_event_too_large_for_the_bus_is_refused_where_it_is_said(world):
    said = await world.database("said")
    huge = DocumentReceived()
    huge.source.title = "x" * (950 * 1024)
    with pytest.raises(ValueError, match="bytes"):
        async with said.transaction() as transaction:
            transaction.say(huge, tenant="acme", entity_id="d")
    assert await said.count_unsent(1) == 0


async def test_a_batch_with_a_known_event_still_brings_the_new_ones(world, toolbox):
    said = await world.database("said")
    bus = await world.bus("ingestion")
    await bus.publish(
        DocumentChunked(part_index=1), tenant="acme", entity_id="doc-1", cause="upload"
    )
    await world.bus("ingestion", database=said)
    await say(said, 0, 1, 2, 3)

    async def all_sent() -> bool:
        return await said.count_unsent(1) == 0

    await toolbox.eventually(all_sent)
    assert (await world.jetstream.stream_info("INGESTION")).state.messages == 4


async def test_a_large_outbox_goes_out_in_order_and_complete(world, toolbox):
    said = await world.database("said")
    await say(said, *range(250))
    await world.bus("ingestion", database=said)

    async def all_there() -> bool:
        return (await world.jetstream.stream_info("INGESTION")).state.messages == 250

    await toolbox.eventually(all_there)
    raw = [await world.jetstream.get_msg("INGESTION", seq=number) for number in (1, 101, 250)]
    parts = [DocumentChunked.FromString(message.data or b"").part_index for message in raw]
    assert parts == [0, 100, 249]


async def test_a_redriven_letter_is_applied_by_its_listener_alone(world, toolbox):
    broken = True
    heard: list[int] = []
    others: list[int] = []

    async def on_document_chunked(event, delivery):
        if broken:
            raise PermanentError("broken", "")
        heard.append(delivery.attempt)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), await world.database("heard"))
    other = Listeners("other")

    @other.on(DocumentChunked)
    async def on_document_chunked_too(event, delivery):
        others.append(event.part_index)

    from nats.js.api import ConsumerConfig

    config = ConsumerConfig(
        durable_name="other-document_chunked",
        filter_subject=subject_of(DocumentChunked, "*"),
        ack_policy="explicit",
    )
    await world.jetstream.add_consumer("INGESTION", config)
    await world.bus("other", other, None)
    await say(said, 1)
    (letter,) = await world.dead_letters(1)
    broken = False
    await redrive(world.jetstream, letter.sequence)
    await world.drained(DURABLE)
    await world.drained("other-document_chunked")
    await toolbox.eventually(lambda: heard == [1])
    assert others == [1]
    assert (await world.jetstream.stream_info("DEADLETTERS")).state.messages == 0


async def test_notes_on_the_way_do_not_mark_the_event_as_applied(world, toolbox, monkeypatch):
    monkeypatch.setattr(trial_module, "delay_after", lambda attempt: 0.05)
    heard = await world.database("heard", toolbox.effects_table)
    table = heard.metadata.tables["effects"]

    async def on_document_chunked(event, delivery):
        async with heard.transaction(aside=True) as transaction:
            await transaction.connection.execute(table.insert().values(part=-delivery.attempt))
        if delivery.attempt == 1:
            raise ConnectionError
        await toolbox.apply_effect(heard, event)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), heard)
    await say(said, 9)
    await world.drained(DURABLE)
    assert await toolbox.effects(heard) == [-2, -1, 9]


async def test_a_second_transaction_in_one_handler_is_refused(world, toolbox):
    heard = await world.database("heard")
    errors: list[str] = []

    async def on_document_chunked(event, delivery):
        async with heard.transaction():
            pass
        try:
            async with heard.transaction():
                pass
        except RuntimeError as error:
            errors.append(str(error))

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), heard)
    await say(said, 9)
    await toolbox.eventually(lambda: bool(errors))
    assert "one transaction" in errors[0]


async def test_a_trace_runs_from_the_speaker_to_the_handler(world, toolbox):
    from gyre_runtime.telemetry import tracer
    from gyre_runtime.telemetry.traces import configure_traces
    from opentelemetry import trace

    configure_traces("test", None)
    heard: list[int] = []

    async def on_document_chunked(event, delivery):
        heard.append(trace.get_current_span().get_span_context().trace_id)

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), None)
    with tracer("test").start_as_current_span("upload") as span:
        await say(said, 1)
    await toolbox.eventually(lambda: bool(heard))
    assert heard == [span.get_span_context().trace_id]


async def test_consequences_carry_correlation_and_cause(world, toolbox):
    heard = await world.database("heard")
    seen: list[Delivery] = []

    async def on_document_chunked(event, delivery):
        seen.append(delivery)
        async with heard.transaction() as transaction:
            transaction.say(DocumentReceived(attempt=2), tenant=delivery.tenant, entity_id="d")

    said = await world.database("said")
    await world.bus("ingestion", database=said)
    await world.bus("embedding", listening(on_document_chunked), heard)
    await say(said, 1)

    async def both() -> bool:
        return (await world.jetstream.stream_info("INGESTION")).state.messages == 2

    await toolbox.eventually(both)
    consequence = await world.jetstream.get_msg("INGESTION", seq=2)
    cause = seen[0].envelope
    assert consequence.headers["ce-causationid"] == cause.event_id
    assert consequence.headers["ce-correlationid"] == cause.correlation_id
    assert consequence.headers["ce-id"] == event_id(
        DocumentReceived(attempt=2), cause=cause.event_id
    )


async def test_nobody_is_answered_whatever_a_message_asks_for(world, toolbox):
    seen: list[int] = []

    async def on_document_chunked(event, delivery):
        seen.append(1)

    await world.bus("embedding", listening(on_document_chunked), None)
    event = compose(DocumentChunked(), tenant="acme", entity_id="d", cause="c")
    headers = event.headers | {"reply_to": "gyre.ingestion.v1.document_chunked.victim"}
    await world.jetstream.publish(event.subject, event.body, headers=headers)
    await world.drained(DURABLE)
    assert seen == [1]
    assert (await world.jetstream.stream_info("INGESTION")).state.messages == 1


def test_tables_of_the_runtime_live_in_the_services_metadata():
    from gyre_runtime.database.tables import runtime_tables

    metadata = sa.MetaData()
    tables = runtime_tables(metadata)
    assert runtime_tables(metadata).outbox is tables.outbox
