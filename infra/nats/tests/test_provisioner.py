"""The provisioner on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gyre.embedding.v1.events_pb2
import gyre.ingestion.v1.events_pb2
import gyre.retrieval.v1.events_pb2  # noqa: F401
import nats
import pytest
from google.protobuf import message_factory, symbol_database
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.__main__ import DRIFTED, UNREACHABLE, main
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus import durable_of, stream_of, subject_of
from nats.js.api import ConsumerConfig


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    with NatsServer(NatsSettings(tmp_path)) as running:
        monkeypatch.setenv("GYRE_NATS_URL", running.url)
        yield running


async def change(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    jetstream = client.jetstream()
    stream = (await jetstream.stream_info("INGESTION")).config
    await jetstream.update_stream(stream.evolve(max_age=60, duplicate_window=30))
    durable = "embedding-document_chunked"
    consumer = (await jetstream.consumer_info("INGESTION", durable)).config
    await jetstream.add_consumer("INGESTION", consumer.evolve(max_ack_pending=1))
    await jetstream.delete_consumer("EMBEDDING", "retrieval-chunks_embedded")
    await jetstream.publish("gyre.ingestion.v1.document_chunked.acme", b"kept")
    await client.close()


async def messages(server: NatsServer) -> int:
    client = await nats.connect(server.url)
    state = (await client.jetstream().stream_info("INGESTION")).state
    await client.close()
    return state.messages


def test_an_empty_server_is_filled_and_a_second_run_changes_nothing(server, capsys):
    assert main(["bus", "--check"]) == DRIFTED
    assert "stream INGESTION: missing" in capsys.readouterr().out
    assert main(["bus"]) == 0
    assert main(["bus"]) == 0
    assert main(["bus", "--check"]) == 0
    assert "all is as planned" in capsys.readouterr().out


def test_drift_is_shown_by_check_left_by_a_plain_run_and_set_right_by_apply(server, capsys):
    import asyncio

    assert main(["bus"]) == 0
    asyncio.run(change(server))
    capsys.readouterr()
    assert main(["bus", "--check"]) == DRIFTED
    shown = capsys.readouterr().out
    assert "stream INGESTION: max_age is 60, wanted 2592000" in shown
    assert "embedding-document_chunked: max_ack_pending is 1, wanted 256" in shown
    assert "consumer EMBEDDING/retrieval-chunks_embedded: missing" in shown
    assert main(["bus"]) == DRIFTED
    assert "missing" not in capsys.readouterr().out
    assert main(["bus", "--apply"]) == 0
    assert main(["bus", "--check"]) == 0
    assert asyncio.run(messages(server)) == 1


def test_what_cannot_be_changed_is_said_and_nothing_is_removed(server, capsys):
    import asyncio

    async def make_it_wrong() -> None:
        client = await nats.connect(server.url)
        jetstream = client.jetstream()
        await jetstream.add_stream(name="INGESTION", subjects=["gyre.ingestion.>"])
        config = ConsumerConfig(
            durable_name="embedding-document_chunked",
            filter_subject="gyre.ingestion.v1.document_chunked.*",
            deliver_policy="new",
            ack_policy="explicit",
        )
        await jetstream.add_consumer("INGESTION", config)
        await client.close()

    asyncio.run(make_it_wrong())
    assert main(["bus", "--apply"]) == DRIFTED
    shown = capsys.readouterr().out
    assert "deliver_policy is new, wanted all  (cannot be changed: make it anew)" in shown
    assert shown.count("\n") == 2


def test_a_server_that_is_away_is_said_and_has_its_own_exit_code(monkeypatch, capsys):
    monkeypatch.setenv("GYRE_NATS_URL", "nats://127.0.0.1:1")
    assert main(["bus", "--check"]) == UNREACHABLE
    assert "GYRE_NATS_URL" in capsys.readouterr().err


def test_consumers_are_named_as_the_runtime_names_them():
    topology = read_topology()
    pool = symbol_database.Default().pool
    for plan in topology.consumers:
        event = message_factory.GetMessageClass(pool.FindMessageTypeByName(plan.event))
        assert plan.durable == durable_of(plan.listener, event)
        assert plan.stream == stream_of(event)
        assert plan.config().filter_subject == subject_of(event, "*")
        assert plan.stream in topology.streams


async def test_the_broker_syncs_every_write_and_refuses_what_is_too_large(server):
    assert server.monitor("varz")["max_payload"] == 1024 * 1024
    config = server.monitor("jsz?config=1")["config"]
    assert config["sync_always"] is True
