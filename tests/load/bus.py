"""How many events a second a consumer handles: this runtime against bare FastStream.

All arms hear the same stored events (1.9 KB of protobuf with their envelope) from one real
nats-server with file storage, as many in flight, with spans batched for an exporter and
Prometheus metrics on; the arms take turns. What each arm promises: `tests/load/bus_arms.py`.
`python -m tests.load.bus --events 4000 --rounds 5 --in-flight 16`
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_local.nats import NatsServer, NatsSettings
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus.publishing import JetStreamPublisher
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.telemetry.traces import configure_traces, tracer
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig
from nats.js.errors import NotFoundError
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.load.bus_arms import ARMS, GYRE, PEERS, STREAM, Arm, GyreArm, Pace, Tally
from tests.load.report import Report, parser, progress

PATIENCE = 600.0
GOAL = 0.9


class Discard(SpanExporter):
    """Stands for a collector: spans are gathered and handed over, nothing is sent."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Bench:
    """The server, its stored events, and a consumer made anew for every run."""

    def __init__(self, jetstream: JetStreamContext, url: str, folder: Path) -> None:
        self._jetstream = jetstream
        self._url = url
        self._folder = folder
        self._config = ConsumerConfig()

    async def fill(self, events: int) -> None:
        await BusPart(self._jetstream, read_topology()).repair(only_missing=False)
        self._config = (await self._jetstream.consumer_info(STREAM, GYRE)).config
        await JetStreamPublisher(self._jetstream._nc).publish(list(_stored(events)))

    async def pace(self, arm: type[Arm], events: int, in_flight: int) -> Pace:
        """Raises RuntimeError where the arm left an event unacknowledged."""
        await self._reset(arm.durable)
        tally = Tally(events)
        running = arm(self._url, in_flight, tally, self._folder)
        await running.start()
        await asyncio.wait_for(tally.done.wait(), PATIENCE)
        await running.stop()
        info = await self._jetstream.consumer_info(STREAM, arm.durable)
        if info.num_pending or info.num_ack_pending or info.num_redelivered:
            raise RuntimeError(f"{arm.name} left something: {info}")
        return tally.pace

    async def _reset(self, durable: str) -> None:
        """The provisioner's consumer anew: everything is delivered again."""
        with contextlib.suppress(NotFoundError):
            await self._jetstream.delete_consumer(STREAM, durable)
        await self._jetstream.add_consumer(
            STREAM, self._config.evolve(name=durable, durable_name=durable)
        )


def _stored(events: int) -> Iterator[Outgoing]:
    for number in range(events):
        event = DocumentChunked(part_index=number)
        event.source.title = "x" * 1850
        with tracer("load").start_as_current_span("said"):
            yield compose(event, tenant="acme", entity_id="document-1", cause="load")


async def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--events", type=int, default=4000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--in-flight", type=int, default=16)
    arguments.add_argument(
        "--only", nargs="*", help="names of arms", default=[a.name for a in ARMS]
    )
    options = arguments.parse_args()
    report = Report("bus")
    configure_traces("load", None).add_span_processor(BatchSpanProcessor(Discard()))
    arms = [arm for arm in ARMS if arm.name in options.only]
    paces: dict[str, list[Pace]] = {arm.name: [] for arm in arms}
    with tempfile.TemporaryDirectory() as folder, _server(folder) as server:
        client = Client()
        await client.connect(server.url)
        bench = Bench(client.jetstream(), server.url, Path(folder))
        await bench.fill(options.events)
        for number, arm in product(range(options.rounds), arms):
            paces[arm.name].append(await bench.pace(arm, options.events, options.in_flight))
            progress("rounds", number + 1, options.rounds)
        await client.close()
    tell(paces, report)
    report.notes.append(f"{options.in_flight} in flight, {options.events} events of 1.9 KB")
    report.save()


def _server(folder: str) -> NatsServer:
    return NatsServer(NatsSettings(Path(folder) / "nats"))


def tell(paces: dict[str, list[Pace]], report: Report) -> None:
    for own, peer in product((one for one in ARMS if one not in PEERS), PEERS):
        if own.name in paces and peer.name in paces:
            _compare(own, peer, paces, report)


def _compare(own: type[Arm], peer: type[Arm], paces: dict[str, list[Pace]], report: Report) -> None:
    """Medians; a ratio is of one round, whose arms ran one after the other."""
    pairs = list(zip(paces[own.name], paces[peer.name], strict=True))
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    report.notes.append(
        f"{own.name} / {peer.name}: {statistics.median(ratios):.2f} in the median of "
        f"{len(ratios)} rounds, {min(ratios):.2f} to {max(ratios):.2f}"
    )
    value, other = (statistics.median(one.rate for one in paces[arm.name]) for arm in (own, peer))
    what = f"events handled, {own.name}; {peer.name}"
    if own is GyreArm:
        report.at_least(what, value, "events/s", times=GOAL, peer=other)
    else:
        report.add(what, value, "events/s", peer=other)
    cpu, theirs = (statistics.median(one.cpu for one in paces[arm.name]) for arm in (own, peer))
    report.add(f"processor time for an event, {own.name}; {peer.name}", cpu, "µs", peer=theirs)


if __name__ == "__main__":
    asyncio.run(main())
