"""Feedback at a pace: 300 judgements a second with everything on, through kills.

    python -m tests.load.feedback --rate 300 --seconds 60 --kills 0
    python -m tests.load.feedback --rate 300 --seconds 60 --kills 6

A real nats-server, a real feedback service in its own process, its Feast worker, SQLite with an
fsync at every commit. A publisher sends `FeedbackSubmitted` of 20,000 raters on answers whose
`AnswerGenerated` comes before, among, or after its judgements. At the end every judgement must be
kept once, joined once, told once (`FeedbackRecorded` on the bus), and counted once in the votes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import nats
import psutil
from gyre.feedback.v1 import feedback_pb2 as pb
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.events_pb2 import FeedbackRecorded, FeedbackSubmitted
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord, RetrievedChunk
from gyre_local.nats import NatsServer, NatsSettings
from gyre_local.ports import free_port
from gyre_provisioner.bus import BusPart
from gyre_provisioner.topology import read_topology
from gyre_runtime.bus.publishing import JetStreamPublisher
from gyre_runtime.events.compose import compose
from gyre_runtime.events.envelope import Outgoing

from tests.load.report import Report, parser, progress

TENANT = "demo"
RATERS = 20_000
PER_ANSWER = 10
SLICE = 0.1
PATIENCE = 240.0
KEEPS_UP, DRAINED = 2.0, 60.0
KEY = (("authorization", "Bearer gyre-dev-key"),)


@dataclass(frozen=True)
class Plan:
    """What is sent: so many judgements, `rate` a second. copies: of each, under other event ids
    and in any order."""

    rate: int
    seconds: float
    seed: int = 1
    copies: int = 1

    @property
    def count(self) -> int:
        return int(self.rate * self.seconds)

    def events(self) -> list[Outgoing]:
        """In the order in which they are sent."""
        first = list(self._first())
        copies = [_copy(one, number) for number in range(1, self.copies) for one in first]
        if copies:
            random.Random(self.seed).shuffle(both := first + copies)
            return both
        return first

    def _first(self) -> Iterator[Outgoing]:
        """Every tenth judgement an answer goes with them, up to a hundred judgements early or
        late."""
        chance = random.Random(self.seed)
        answers = range((self.count + PER_ANSWER - 1) // PER_ANSWER)
        late = {one: one * PER_ANSWER + chance.randrange(-100, 100) for one in answers}
        order = sorted(answers, key=lambda one: late[one])
        for number in range(self.count):
            while order and late[order[0]] <= number:
                yield _answer(order.pop(0))
            yield _judgement(number, chance)
        for one in order:
            yield _answer(one)


class Process:
    """The feedback service, killed and started as often as wanted."""

    def __init__(self, folder: Path, nats_url: str) -> None:
        self.port, self._folder = free_port(), folder
        self.database = folder / "feedback.db"
        self._environment = {
            **os.environ,
            "GYRE_NATS_URL": nats_url,
            "GYRE_GRPC_ADDRESS": f"127.0.0.1:{self.port}",
            "GYRE_METRICS_PORT": "0",
            "GYRE_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
            "GYRE_FEATURES_FOLDER": str(folder / "features"),
            # One slice of raters is young for all of a short run: what a flood is must not be hit
            # by the load itself.
            "GYRE_FLOOD_SIZE": "1000000",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gyre_feedback"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9 of the service; its worker ends with its input."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    @property
    def seconds(self) -> float:
        """Processor time of the service and its worker."""
        assert self._process is not None
        found = psutil.Process(self._process.pid)
        return sum(sum(one.cpu_times()[:2]) for one in (found, *found.children(recursive=True)))

    @property
    def megabytes(self) -> float:
        """Of the service alone."""
        assert self._process is not None
        return psutil.Process(self._process.pid).memory_info().rss / 1e6

    async def ready(self) -> FeedbackServiceStub:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        stub = FeedbackServiceStub(channel)
        metric = pb.Metric(name="helpful", type=pb.METRIC_TYPE_BOOLEAN)
        request = wire.DeclareMetricRequest(metric=metric)
        await stub.DeclareMetric(request, metadata=KEY, timeout=60, wait_for_ready=True)
        await channel.close()
        return stub


@dataclass
class Ledger:
    """What became of the judgements."""

    sent: int
    kept: int = 0
    states: Counter[str] | None = None
    told: int = 0
    told_twice: int = 0
    counted: int = 0
    scored: int = 0
    dead: int = 0

    @property
    def lost(self) -> int:
        joined = (self.states or Counter())["recorded"]
        return max(self.sent - min(self.kept, joined, self.told, self.counted, self.scored), 0)

    @property
    def doubled(self) -> int:
        return self.told_twice + max(self.counted - self.sent, 0) + max(self.scored - self.sent, 0)


async def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rate", type=int, default=300)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--kills", type=int, default=0, help="kill -9 of the service")
    arguments.add_argument("--broker-kills", type=int, default=0, help="kill -9 of nats-server")
    options = arguments.parse_args()
    report = Report("feedback")
    plan = Plan(options.rate, options.seconds)
    with tempfile.TemporaryDirectory() as name:
        run = Run(Path(name), plan)
        async with run.running():
            pace = await run.pace(options.kills, options.broker_kills)
            drain = await run.drained()
            stored = await run.stored()
            ledger = await run.ledger()
    report.notes.append(
        f"{plan.count} judgements at {plan.rate}/s, {options.kills} kills of the service, "
        f"{options.broker_kills} of the broker; {RATERS} raters, {PER_ANSWER} judgements an answer"
    )
    report.notes.append(f"{ledger}")
    report.add("judgements sent", pace.achieved, "/s")
    kept_up = pace.behind <= KEEPS_UP * pace.achieved
    report.add(
        "left to handle when sending ended",
        pace.behind,
        "events",
        goal=f"what comes in {KEEPS_UP:g} s",
        reached=kept_up,
    )
    goal = DRAINED if options.kills or options.broker_kills else KEEPS_UP
    report.add("all computed after", drain, "s", goal=f"{goal:g} s", reached=drain <= goal)
    report.add("all features stored after", stored, "s")
    report.add("processor time of service and worker", pace.cores, "cores")
    report.add("memory of the service", run.process_megabytes, "MB")
    report.add("lost", ledger.lost, "judgements", goal="0", reached=ledger.lost == 0)
    report.add("doubled", ledger.doubled, "judgements", goal="0", reached=ledger.doubled == 0)
    report.save()


@dataclass(frozen=True)
class Pace:
    """achieved: events sent a second. behind: of the consumers' events when sending ended."""

    achieved: float
    behind: int
    cores: float


class Run:
    """One bus, one service, one publisher."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self.server = NatsServer(NatsSettings(folder / "nats"))
        self._folder = folder
        self.process: Process
        self.process_megabytes = 0.0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with self.server:
            self.client = await nats.connect(self.server.url, max_reconnect_attempts=-1)
            plan = read_topology()
            short = tuple(one.model_copy(update={"ack_wait": 5.0}) for one in plan.consumers)
            part = BusPart(self.client.jetstream(), plan.model_copy(update={"consumers": short}))
            await part.repair(only_missing=False)
            self.process = Process(self._folder, self.server.url)
            self.process.start()
            await self.process.ready()
            try:
                yield
            finally:
                self.process.stop()
                await self.client.close()

    async def pace(self, kills: int, broker_kills: int) -> Pace:
        """Sends all of the plan at its rate; kills are spread over it."""
        started, before = time.monotonic(), self.process.seconds
        killing = asyncio.create_task(self._kill(kills, broker_kills))
        events = self._plan.events()
        sent = 0
        while sent < len(events):
            due = int((time.monotonic() - started) / self._plan.seconds * len(events)) + 1
            if due > sent:
                await self._publish(events[sent:due])
                sent = min(due, len(events))
                progress("events", sent, len(events))
            await asyncio.sleep(SLICE)
        seconds = time.monotonic() - started
        behind = await self._behind()
        await killing
        used = self.process.seconds - (0.0 if kills else before)
        self.process_megabytes = self.process.megabytes
        return Pace(len(events) / seconds, behind, used / seconds if not kills else float("nan"))

    async def drained(self) -> float:
        """Seconds until nothing is left to handle, compute or tell."""
        started = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while True:
                if not await self._behind() and not self._unfinished():
                    return time.monotonic() - started
                await asyncio.sleep(0.1)

    async def stored(self) -> float:
        """Seconds until the feature store has everything; at first it waits for its start."""
        started = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while True:
                with self._database() as rows:
                    if not rows.execute("SELECT count(*) FROM feature_rows").fetchone()[0]:
                        return time.monotonic() - started
                await asyncio.sleep(0.2)

    async def ledger(self) -> Ledger:
        """Counted in the service's database and on the bus."""
        ledger = Ledger(self._plan.count)
        with self._database() as rows:
            states = rows.execute("SELECT state, count(*) FROM feedback GROUP BY state").fetchall()
            votes = "SELECT sum(judgements) FROM votes WHERE kind = 'model'"
            ledger.counted = rows.execute(votes).fetchone()[0] or 0
            scores = "SELECT sum(judgements) FROM scores WHERE kind = 'model'"
            ledger.scored = rows.execute(scores).fetchone()[0] or 0
        ledger.states = Counter(dict(states))
        ledger.kept = sum(ledger.states.values())
        letters = await self.client.jetstream().stream_info("DEADLETTERS")
        ledger.dead = letters.state.messages
        told = Counter([one async for one in self._told()])
        ledger.told = len(told)
        ledger.told_twice = sum(told.values()) - len(told)
        return ledger

    async def _publish(self, events: list[Outgoing]) -> None:
        """Until the bus has them: a broker that was killed comes back."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await JetStreamPublisher(self.client).publish(events)
                    return
                except Exception:
                    await asyncio.sleep(0.3)

    async def _kill(self, kills: int, broker_kills: int) -> None:
        chance = random.Random(self._plan.seed)
        victims = ["service"] * kills + ["broker"] * broker_kills
        chance.shuffle(victims)
        for victim in victims:
            await asyncio.sleep(self._plan.seconds / (len(victims) + 1))
            if victim == "broker":
                await asyncio.to_thread(self.server.restart, kill=True)
            else:
                await asyncio.to_thread(self.process.kill)
                self.process.start()

    async def _behind(self) -> int:
        left = 0
        for stream, durable in (
            ("FEEDBACK", "feedback-feedback_submitted"),
            ("INFERENCE", "feedback-answer_generated"),
        ):
            try:
                info = await self.client.jetstream().consumer_info(stream, durable)
            except Exception:  # a broker that was killed swallows a question
                return 1
            left += info.num_pending + info.num_ack_pending
        return left

    def _unfinished(self) -> int:
        """Judgements whose effects are not computed, events not told, features not stored."""
        queries = (
            "SELECT count(*) FROM feedback WHERE dirty OR state = 'waiting'",
            "SELECT count(*) FROM gyre_outbox WHERE sent_time IS NULL",
        )
        with self._database() as rows:
            return sum(rows.execute(query).fetchone()[0] for query in queries)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.process.database, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    async def _told(self) -> AsyncIterator[str]:
        """Ids of the judgements in the FeedbackRecorded events on the bus."""
        jetstream = self.client.jetstream()
        subscription = await jetstream.pull_subscribe(
            f"gyre.feedback.v1.feedback_recorded.{TENANT}", stream="FEEDBACK"
        )
        while True:
            try:
                messages = await subscription.fetch(500, timeout=2)
            except TimeoutError:
                return
            for message in messages:
                yield FeedbackRecorded.FromString(message.data).feedback.feedback_id
                await message.ack()


def _copy(event: Outgoing, number: int) -> Outgoing:
    """A repetition that the bus does not know for one."""
    identity = f"{event.event_id}-{number}"
    headers = event.headers | {"ce-id": identity, "Nats-Msg-Id": identity}
    return replace(event, event_id=identity, headers=headers)


def _answer(number: int) -> Outgoing:
    record = AnswerRecord(
        answer_id=f"answer-{number}",
        chain_run_id=f"run-{number}",
        tenant=TENANT,
        principal="shop",
        workload="answer",
        prompt_name="answer",
        prompt_version=str(number % 3),
        model="reader",
        model_version="1",
        collection="help",
        completion="Five pounds. " * 20,
        question="What does it cost?",
        retrieved_chunks=[
            RetrievedChunk(chunk_id=f"chunk-{(number + at) % 500}", document_id="d", rank=at)
            for at in range(5)
        ],
    )
    event = AnswerGenerated(record=record)
    return compose(event, tenant=TENANT, entity_id=record.answer_id, cause=f"load-{number}")


def _judgement(number: int, chance: random.Random) -> Outgoing:
    feedback = pb.Feedback(
        feedback_id=f"f-{number}",
        target=pb.FeedbackTarget(answer_id=f"answer-{number // PER_ANSWER}"),
        metric="helpful",
        value=pb.FeedbackValue(boolean=chance.random() < 0.8),
        source=pb.FeedbackSource(rater=f"rater-{chance.randrange(RATERS)}-{number % PER_ANSWER}"),
        rationale="It says what I wanted to know.",
    )
    event = FeedbackSubmitted(feedback=feedback)
    said = compose(event, tenant=TENANT, entity_id=feedback.feedback_id, cause=f"load-{number}")
    return replace(said, headers=said.headers | {"ce-source": "shop"})


if __name__ == "__main__":
    asyncio.run(main())
