"""The consumers that `tests.load.bus` compares: bare FastStream, and this runtime.

| arm | a message lost with the process | a failing handler | an acknowledgement | effects |
|---|---|---|---|---|
| FastStream | comes again | again at once, without end | sent, not waited for | repeated |
| gyre | comes again | again later, then set aside | waited for | repeated |
| gyre with inbox | comes again | again later, then set aside | waited for | applied once |
| gyre with effect | comes again | again later, then set aside | waited for | applied once |
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from faststream import AckPolicy, BaseMiddleware, NoCast
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.opentelemetry import NatsTelemetryMiddleware
from faststream.nats.prometheus import NatsPrometheusMiddleware
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_runtime.bus import Bus, Delivery, Listeners, durable_of, stream_of, subject_of
from gyre_runtime.database import Database
from gyre_runtime.settings import RuntimeSettings
from gyre_runtime.telemetry import counter, histogram, names, tracer
from gyre_runtime.telemetry.traces import context_of
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry

STREAM = stream_of(DocumentChunked)
SUBJECT = subject_of(DocumentChunked, "*")
GYRE = durable_of("embedding", DocumentChunked)
PEER = "bare-document_chunked"
_outcomes = counter("peer_events", "Events handled", ["listener", "event", "outcome"])
_seconds = histogram("peer_handling_seconds", "Time from delivery to end", ["listener", "event"])
_tracer = tracer("gyre.peer")


@dataclass(frozen=True)
class Pace:
    """rate: events a second. cpu: microseconds of this process for each."""

    rate: float
    cpu: float


class Tally:
    """When the first and the last of so many events were handled."""

    def __init__(self, wanted: int) -> None:
        self.done = asyncio.Event()
        self._wanted = wanted
        self._count = 0
        self._begin = self._end = (0.0, 0.0)

    def count(self) -> None:
        self._count += 1
        if self._count == 1:
            self._begin = time.perf_counter(), time.process_time()
        if self._count == self._wanted:
            self._end = time.perf_counter(), time.process_time()
            self.done.set()

    @property
    def pace(self) -> Pace:
        """From the first to the last."""
        seconds, cpu = (end - begin for begin, end in zip(self._begin, self._end, strict=True))
        return Pace((self._wanted - 1) / seconds, cpu / (self._wanted - 1) * 1e6)


class Arm(Protocol):
    """One consumer; made anew for every round."""

    name: str
    durable: str

    def __init__(self, url: str, in_flight: int, tally: Tally, folder: Path) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class FastStreamArm:
    """The pull subscriber and the protobuf decoder of FastStream's own pages, with its Prometheus
    and OpenTelemetry middlewares."""

    name = "FastStream"
    durable = PEER
    typed = True

    def __init__(self, url: str, in_flight: int, tally: Tally, _: Path) -> None:
        self._broker = NatsBroker(
            url, middlewares=self._middlewares(), apply_types=self.typed, logger=None
        )
        subscriber = self._broker.subscriber(
            SUBJECT,
            stream=JStream(STREAM, declare=False),
            durable=self.durable,
            decoder=decode,
            pull_sub=PullSub(batch_size=in_flight),
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )

        @subscriber
        async def on_document_chunked(event: NoCast[DocumentChunked]) -> None:
            assert event.source.title
            tally.count()

    def _middlewares(self) -> tuple[Any, ...]:
        return (
            NatsTelemetryMiddleware(tracer_provider=trace.get_tracer_provider()),
            NatsPrometheusMiddleware(registry=CollectorRegistry()),
        )

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()


async def decode(message: NatsMessage) -> DocumentChunked:
    return DocumentChunked.FromString(message.body)


class SameTelemetry(BaseMiddleware[Any]):
    """The runtime's own span, counter and histogram, and no other, on FastStream."""

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: Any) -> Any:
        started, labels = time.perf_counter(), ("bare", "document_chunked")
        with _tracer.start_as_current_span(
            "process document_chunked",
            context=context_of(msg.headers.get("traceparent", "")),
            kind=SpanKind.CONSUMER,
            attributes={
                names.MESSAGING_SYSTEM: "nats",
                names.MESSAGING_OPERATION: "process",
                names.MESSAGING_TEMPLATE: SUBJECT,
                names.MESSAGING_CONSUMER: PEER,
                names.MESSAGING_ID: msg.headers["ce-id"],
            },
        ):
            result = await call_next(msg)
        _seconds.labels(*labels).observe(time.perf_counter() - started)
        _outcomes.labels(*labels, "applied").inc()
        return result


class LeanFastStreamArm(FastStreamArm):
    """FastStream at its barest: without its injection of dependencies, which costs most, and with
    exactly the telemetry of the runtime, which is less than its own."""

    name = "lean FastStream"
    typed = False

    def _middlewares(self) -> tuple[Any, ...]:
        return (SameTelemetry,)


class GyreArm:
    """A service without a database, as embedding is."""

    name = "gyre"
    durable = GYRE
    database: Database | None = None

    def __init__(self, url: str, in_flight: int, tally: Tally, folder: Path) -> None:
        listeners = Listeners("embedding")
        self._make_database(folder)

        @listeners.on(DocumentChunked, concurrency=in_flight)
        async def on_document_chunked(event: DocumentChunked, delivery: Delivery) -> None:
            assert event.source.title
            await self._take_effect(event)
            tally.count()

        self._bus = Bus(RuntimeSettings(nats_url=url), "embedding", database=self.database)
        self._bus.include(listeners)

    def _make_database(self, folder: Path) -> None:
        return None

    async def _take_effect(self, event: DocumentChunked) -> None:
        return None

    async def start(self) -> None:
        if self.database is not None:
            await self.database.start()
        await self._bus.start()

    async def stop(self) -> None:
        await self._bus.stop()
        if self.database is not None:
            await self.database.stop()


class GyreInboxArm(GyreArm):
    """A service with a database (SQLite, fsync): every start and every end is on disk, many in one
    commit; the handler itself writes nothing."""

    name = "gyre with inbox"

    def _make_database(self, folder: Path) -> None:
        file, metadata = tempfile.mkdtemp(dir=folder), sa.MetaData()
        self.effects = sa.Table("effects", metadata, sa.Column("part", sa.Integer, nullable=False))
        self.database = Database(f"sqlite+aiosqlite:///{file}/inbox.db", metadata)


class GyreEffectArm(GyreInboxArm):
    """The handler writes a row in a transaction of its own, which is one commit for each event."""

    name = "gyre with effect"

    async def _take_effect(self, event: DocumentChunked) -> None:
        assert self.database is not None
        async with self.database.transaction() as transaction:
            row = self.effects.insert().values(part=event.part_index)
            await transaction.connection.execute(row)


ARMS: tuple[type[Arm], ...] = (
    FastStreamArm,
    LeanFastStreamArm,
    GyreArm,
    GyreInboxArm,
    GyreEffectArm,
)
PEERS: tuple[type[Arm], ...] = (FastStreamArm, LeanFastStreamArm)
