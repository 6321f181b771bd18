"""What the platform's stores hold, read from outside: streams, databases and Milvus."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from google.protobuf.message import Message
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_provisioner.topology import ConsumerPlan, read_topology
from gyre_retrieval.domain.identity import DocumentKey, Version, digest, version_key
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pymilvus import MilvusClient

from tests.platform.running import RunningPlatform

EventT = TypeVar("EventT", bound=Message)
WITH_OUTBOX = ("ingestion", "retrieval", "inference")
WITH_INBOX = ("ingestion", "retrieval")
CONSUMERS = read_topology().consumers
# pymilvus pings every 10 s by default, for which Milvus Lite's server hangs up.
SELDOM_PINGS = {"grpc.keepalive_time_ms": 600_000}


@dataclass(frozen=True)
class Recorded:
    """A message that a stream holds."""

    subject: str
    sequence: int
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers.get("ce-id", "")

    @property
    def tenant(self) -> str:
        return self.subject.rpartition(".")[2]


@dataclass(frozen=True)
class Balance:
    """What one consumer was given and what became of it."""

    published: int
    applied: int
    dead: int
    pending: int

    @property
    def even(self) -> bool:
        return self.published == self.applied + self.dead + self.pending


@dataclass(frozen=True)
class Row:
    """A passage in Milvus."""

    key: str
    tenant: str
    collection: str
    document_id: str
    revision: int
    text: str


async def recorded(jetstream: JetStreamContext, stream: str, *, after: int = 0) -> list[Recorded]:
    """Every message of the stream with a sequence above `after`, oldest first."""
    held = (await jetstream.stream_info(stream)).state.messages
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.ALL,
        mem_storage=True,
        inactive_threshold=30.0,
    )
    reader = await jetstream.pull_subscribe(
        f"gyre.{stream.lower()}.>", stream=stream, config=config
    )
    found: list[Recorded] = []
    while len(found) < held:
        for raw in await reader.fetch(min(200, held - len(found)), timeout=10):
            place = raw.metadata.sequence.stream
            found.append(Recorded(raw.subject, place, dict(raw.headers or {}), raw.data))
    await reader.unsubscribe()
    return [one for one in found if one.sequence > after]


def of_type(messages: Iterable[Recorded], event: type[EventT]) -> list[tuple[Recorded, EventT]]:
    """Those that a service said as such events, of any tenant; not what a test made by hand."""
    name = event.DESCRIPTOR.full_name
    said = (one for one in messages if one.headers.get("ce-type") == name)
    return [(one, event.FromString(one.body)) for one in said]


async def lag(jetstream: JetStreamContext) -> dict[str, int]:
    """Consumer -> events that wait or are not acknowledged; those with none are left out."""
    found = {plan.durable: await _pending(jetstream, plan) for plan in CONSUMERS}
    return {name: count for name, count in found.items() if count}


def unsent(platform: RunningPlatform) -> dict[str, int]:
    """Service -> events in its outbox that the bus does not have; those with none are left out."""
    query = "SELECT count(*) FROM gyre_outbox WHERE sent_time IS NULL"
    running = filter(platform.runs, WITH_OUTBOX)
    found = {name: int(rows(platform, name, query)[0][0]) for name in running}
    return {name: count for name, count in found.items() if count}


async def drained(
    platform: RunningPlatform, jetstream: JetStreamContext, patience: float = 240.0
) -> float:
    """Waits until nothing is on its way anywhere; returns the seconds that it took.

    Raises TimeoutError that says what is left.
    """
    started = time.monotonic()
    before: Any = None
    while True:
        left = await _left(platform, jetstream)
        now = await _ends(jetstream)
        if not left and now == before:
            return time.monotonic() - started
        if time.monotonic() - started > patience:
            raise TimeoutError(f"not drained after {patience} s: {left}")
        before = now if not left else None
        await asyncio.sleep(0.3)


async def balances(platform: RunningPlatform, jetstream: JetStreamContext) -> dict[str, Balance]:
    """Consumer -> its balance, by the receipts in the databases of the services."""
    found: dict[str, Balance] = {}
    for plan in (one for one in CONSUMERS if one.listener in WITH_INBOX):
        subject = plan.config().filter_subject
        info = await jetstream.stream_info(plan.stream, subjects_filter=subject)
        query = "SELECT outcome, count(*) FROM gyre_receipts WHERE consumer = ? GROUP BY outcome"
        receipts = dict(rows(platform, plan.listener, query, plan.durable))
        found[plan.durable] = Balance(
            published=sum((info.state.subjects or {}).values()),
            applied=receipts.get("applied", 0),
            dead=receipts.get("dead", 0),
            pending=await _pending(jetstream, plan),
        )
    return found


async def unfaithful_outboxes(
    platform: RunningPlatform, jetstream: JetStreamContext
) -> dict[str, str]:
    """Service -> how its outbox and its stream differ: each id said must be there once, no other.

    Only for streams that nobody else wrote to.
    """
    found: dict[str, str] = {}
    for service in WITH_OUTBOX:
        said = {row[0] for row in rows(platform, service, "SELECT event_id FROM gyre_outbox")}
        held = Counter(one.event_id for one in await recorded(jetstream, service.upper()))
        doubled = [name for name, count in held.items() if count > 1]
        lost, phantom = said - set(held), set(held) - said
        if doubled or lost or phantom:
            found[service] = f"doubled {doubled}, lost {lost}, phantoms {phantom}"
    return found


def milvus_rows(platform: RunningPlatform) -> list[Row]:
    """Every passage of every index, whether in force or not."""
    url = platform.environment["GYRE_MILVUS_URL"]
    client = MilvusClient(url, grpc_options=SELDOM_PINGS)
    try:
        found = [row for name in client.list_collections() for row in _passages(client, name)]
    finally:
        client.close()
    return [_row(one["id"], orjson.loads(one["payload"])) for one in found]


def _passages(client: MilvusClient, name: str) -> list[dict[str, Any]]:
    client.load_collection(name)
    fields = ["id", "payload"]
    return list(client.query(name, 'id != ""', output_fields=fields, limit=16_000))


def keys_of(messages: Iterable[Recorded]) -> dict[tuple[str, str, int], set[str]]:
    """(tenant, document, revision) -> keys in Milvus of its newest attempt, as cut by ingestion."""
    keys: dict[tuple[str, str, int], dict[int, set[str]]] = {}
    for one, event in of_type(messages, DocumentChunked):
        revision = event.revision
        place = (one.tenant, revision.document_id, revision.revision)
        attempts = keys.setdefault(place, {}).setdefault(event.attempt, set())
        attempts |= {key_of(one.tenant, event, chunk.chunk_id) for chunk in event.chunks}
    return {place: attempts[max(attempts)] for place, attempts in keys.items()}


def key_of(tenant: str, event: DocumentChunked, chunk_id: str) -> str:
    revision = event.revision
    document = DocumentKey(tenant, revision.collection, revision.document_id)
    return digest(version_key(document, Version(revision.revision, event.attempt)), chunk_id)


def rows(platform: RunningPlatform, service: str, query: str, *values: object) -> list[Any]:
    """Reads the service's database beside the service."""
    path = platform.database(service)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


async def _left(platform: RunningPlatform, jetstream: JetStreamContext) -> dict[str, int]:
    left = unsent(platform)
    leavings = int(rows(platform, "retrieval", "SELECT count(*) FROM leavings")[0][0])
    if leavings:
        left["passages to be removed"] = leavings
    return left | await lag(jetstream)


async def _ends(jetstream: JetStreamContext) -> list[int]:
    names = sorted({plan.stream for plan in CONSUMERS} | {"INFERENCE", "DEADLETTERS"})
    return [(await jetstream.stream_info(name)).state.last_seq for name in names]


async def _pending(jetstream: JetStreamContext, plan: ConsumerPlan) -> int:
    info = await jetstream.consumer_info(plan.stream, plan.durable)
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


def _row(key: str, payload: dict[str, Any]) -> Row:
    tenant, collection, document_id = payload["document"]
    return Row(key, tenant, collection, document_id, payload["version"][0], payload["chunk"][2])
