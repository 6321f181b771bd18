"""How much a training on the same machine slows answers down.

    python -m tests.load.training_latency [--answers 40] [--rounds 3] [--rate 1] [--engine]

NATS, Milvus Lite, Triton with the demo's models, and the services that an answer needs run as they
do locally, over the demo knowledge base. Its questions are asked at a steady rate, whether or not
earlier answers have come. In between a job trains the reference model as the retraining service
starts it (`LocalJobs`; threads and niceness are the recipe's). Phases without and with it take
turns, so that what else the machine does meets both; without it, it is stopped (SIGSTOP). Beside
the quantiles stands the job's own pace, with answers and alone. `--engine` asks the language model
on Triton directly, for a machine that is too busy for the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from gyre_client.models import AnswerStarted
from gyre_demo.questions import KNOWLEDGE_BASE, read_questions
from gyre_local.settings import LocalSettings
from gyre_retraining.adapters import launcher
from gyre_retraining.adapters.catalogue import CatalogueRecipes
from gyre_retraining.adapters.jobs_local import LocalJobs
from gyre_retraining.domain.jobs import JobState, Order

from infra.triton.smoke.server import Wanted, served
from tests.load.engine import Ours, endless, prompts_of
from tests.load.report import Report, parser
from tests.platform.documents import ingest
from tests.platform.running import RunningPlatform

PROGRAMS = (
    *("nats", "milvus", "triton", "provisioner"),
    *("ingestion", "embedding", "retrieval", "inference"),
)
RECIPE, TRAINING = "language-citations", "beside-answers"
ROWS, LISTED = 600, 8
SECONDS = 600
ALONE = 30.0
WARM, WRITTEN = 10, 24
# Asks the question of that number; seconds until the first text and until the end.
Ask = Callable[[int], Awaitable[tuple[float, float]]]


def main() -> None:
    asked = _arguments()
    report = Report("training_latency")
    with TemporaryDirectory() as folder:
        state = Path(folder)
        training = Training(state / "jobs", asked)
        answering = engine_alone(state) if asked.engine else platform_of(state)
        asyncio.run(measure(answering, training, asked, report))
    report.save()


@asynccontextmanager
async def platform_of(state: Path) -> AsyncIterator[Ask]:
    """Whole answers over the demo knowledge base."""
    platform = RunningPlatform(state / "platform", only=PROGRAMS)
    try:
        await asyncio.to_thread(platform.start)
        async with platform.client() as gyre:
            files = [path for path in sorted(KNOWLEDGE_BASE.rglob("*")) if path.is_file()]
            named = {one.relative_to(KNOWLEDGE_BASE).as_posix(): one.read_bytes() for one in files}
            await ingest(gyre, named, "default")
            asked = [one.question for one in read_questions() if one.answer]

            async def ask(number: int) -> tuple[float, float]:
                begin, first = time.perf_counter(), 0.0
                async for event in gyre.answer(asked[number % len(asked)]):
                    if not isinstance(event, AnswerStarted):
                        first = first or time.perf_counter() - begin
                return first, time.perf_counter() - begin

            yield ask
    finally:
        await asyncio.to_thread(platform.stop)


@asynccontextmanager
async def engine_alone(state: Path) -> AsyncIterator[Ask]:
    """The language model on Triton, nothing before it: equal work for each request."""
    model = endless(LocalSettings().model_dir, state / "model")
    with served(Wanted("torch", model), state) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            ours, prompts = Ours(channel, server), prompts_of(64)

            async def ask(number: int) -> tuple[float, float]:
                begin = time.perf_counter()
                answer = await ours.ask(prompts[number % len(prompts)], WRITTEN)
                return answer.first, time.perf_counter() - begin

            yield ask


async def measure(
    answering: AbstractAsyncContextManager[Ask],
    training: Training,
    asked: argparse.Namespace,
    report: Report,
) -> None:
    async with answering as ask:
        questions = Questions(ask, asked.rate)
        await questions.ask(WARM)
        await training.start()
        try:
            without, beside = await phases(questions, training, asked)
            pace = await training.alone()
        finally:
            await training.stop()
    tell(report, without, beside)
    told = f"{training.pace:.2f} s a step while answers are asked for, {pace:.2f} s alone"
    about = f"{RECIPE}, {training.threads} thread, nice {training.nice}"
    report.notes.append(f"job: {about}; {told}; {asked.rate:g} questions a second")


async def phases(
    questions: Questions, training: Training, asked: argparse.Namespace
) -> tuple[Times, Times]:
    """Without, with, without, with, ..."""
    without, beside = Times(), Times()
    for number in range(2 * asked.rounds):
        runs = bool(number % 2)
        times = beside if runs else without
        with training.running() if runs else training.stopped():
            found = await questions.ask(asked.answers)
        times.done += found.done
        times.first += found.first
        load = os.getloadavg()[0]
        print(f"{'with' if runs else 'without'}: {found.told()}, load {load:.1f}", file=sys.stderr)
    return without, beside


def tell(report: Report, without: Times, beside: Times) -> None:
    for what, ours, peer in (
        ("whole answer", beside.done, without.done),
        ("first text", beside.first, without.first),
    ):
        for percent in (50, 95):
            now, before = _ms(ours, percent), _ms(peer, percent)
            name = f"{what} while a job trains, p{percent} of {len(ours)}; without"
            goal = {"goal": "at most 2 times", "reached": now <= 2 * before}
            report.add(name, now, "ms", peer=before, **(goal if percent == 95 else {}))


@dataclass
class Times:
    """Seconds until the first text and until the answer was durable."""

    first: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)

    def told(self) -> str:
        return f"p50 {_ms(self.done, 50):.0f} ms, p95 {_ms(self.done, 95):.0f} ms"


class Questions:
    """One after the other, so many a second."""

    def __init__(self, ask: Ask, rate: float) -> None:
        self._ask, self._rate, self._at = ask, rate, 0

    async def ask(self, count: int) -> Times:
        """Each begins when it is due, so that a slow answer delays no other one."""
        times = Times()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._one(self._at, times))
                self._at += 1
                await asyncio.sleep(1 / self._rate)
        return times

    async def _one(self, number: int, times: Times) -> None:
        first, done = await self._ask(number)
        times.first.append(first)
        times.done.append(done)


class Training:
    """A job of the recipe over rows of the demo's own sentences, as the service starts it."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        settings = LocalSettings()
        changes = {"training.epochs": "1000", "limits.minutes": "0"}
        changes |= {"limits.nice": str(asked.nice)} if asked.nice is not None else {}
        changes |= {"limits.threads": str(asked.threads)} if asked.threads is not None else {}
        plan = CatalogueRecipes().plan(RECIPE, changes)
        self.nice, self.threads = plan.limits.nice, plan.limits.threads
        dataset = _dataset(folder / "dataset")
        self._order = Order(TRAINING, plan, dataset, settings.model_dir.absolute(), "", RECIPE)
        self._folder = folder / TRAINING
        self._jobs = LocalJobs(folder, settings.models_environment / "bin" / "python")
        self._steps, self._seconds = 0, 0.0

    async def start(self) -> None:
        """Until it has taken its first steps."""
        await self._jobs.start(self._order)
        async with asyncio.timeout(SECONDS):
            while (found := await self._jobs.look(TRAINING)).progress.step < 2:
                if found.state is not JobState.RUNNING:
                    raise SystemExit((self._folder / "job.log").read_text()[-2000:])
                await asyncio.sleep(0.2)

    async def stop(self) -> None:
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)  # a checkpoint is not wanted
        await self._jobs.stop(TRAINING)

    @property
    def pace(self) -> float:
        """Seconds a step while it ran beside answers."""
        return self._seconds / max(1, self._steps)

    async def alone(self) -> float:
        """Seconds a step while nobody asks."""
        self._signal(signal.SIGCONT)
        before, begin = self._step(), time.perf_counter()
        await asyncio.sleep(ALONE)
        return (time.perf_counter() - begin) / max(1, self._step() - before)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._signal(signal.SIGCONT)
        before, begin = self._step(), time.perf_counter()
        yield
        self._steps += self._step() - before
        self._seconds += time.perf_counter() - begin

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self._signal(signal.SIGSTOP)
        yield

    def _step(self) -> int:
        lines = (self._folder / "progress.jsonl").read_text().splitlines()
        return max(int(json.loads(line)["step"]) for line in lines)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(psutil.NoSuchProcess):
            pid = json.loads((self._folder / launcher.PROCESS).read_text())["pid"]
            psutil.Process(pid).send_signal(number)


def _dataset(folder: Path) -> Path:
    """Lists of sentences of the knowledge base; what is right in them does not matter here."""
    texts = [path.read_text(errors="ignore") for path in KNOWLEDGE_BASE.rglob("*.md")]
    lines = [one.strip() for text in texts for one in text.splitlines() if 40 < len(one) < 240]
    asked, chance = [one.question for one in read_questions()], random.Random(3)
    rows = []
    for number in range(ROWS):
        shown = [f"[{n}] {one}" for n, one in enumerate(chance.sample(lines, LISTED), start=1)]
        text = "\n".join(shown)
        content = f"Sentences:\n{text}\n\nQuestion: {chance.choice(asked)}"
        messages = [{"role": "user", "content": content}]
        rows.append(
            {"row_id": str(number), "messages": messages, "completion": chance.choice(shown)}
        )
    folder.mkdir(parents=True)
    for split, some in (("validation", rows[:8]), ("train", rows[8:])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"{split}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"form": "demonstrations"}))
    return folder


def _ms(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--answers", type=int, default=40, help="of each phase")
    arguments.add_argument("--rounds", type=int, default=3, help="phases of each kind")
    arguments.add_argument("--rate", type=float, default=1.0, help="questions a second")
    arguments.add_argument("--engine", action="store_true", help="Triton's language model alone")
    arguments.add_argument("--nice", type=int, help="in place of the recipe's")
    arguments.add_argument("--threads", type=int, help="in place of the recipe's")
    return arguments.parse_args()


if __name__ == "__main__":
    main()
