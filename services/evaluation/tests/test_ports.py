"""One promise, kept by the twin and by the real thing alike."""

from __future__ import annotations

import base64
import math
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from gyre_evaluation.adapters.intervals import MlflowTracker, WorkerStatistics
from gyre_evaluation.adapters.judges import Judges
from gyre_evaluation.adapters.memory import (
    MemoryScoring,
    MemoryStatistics,
    MemoryTracker,
    bag_of_words,
)
from gyre_evaluation.adapters.scoring import WorkerScoring
from gyre_evaluation.adapters.worker.intervals import means
from gyre_evaluation.adapters.worker.jobs import new_worker
from gyre_evaluation.domain.metrics.case import Case, Evidence
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.metric import Level
from gyre_evaluation.ports import Scoring, Statistics, Tracker
from gyre_runtime.worker import JobFailed, Worker
from hypothesis import given, settings
from hypothesis import strategies as st

CASES = [
    Case(
        "What is the fee?",
        "The fee is 25 euros [1].",
        ("It is 25 euros.",),
        (Evidence("The fee is 25 euros.", "c1", "d1"), Evidence("Other text.", "c2", "d2")),
        frozenset({"d1"}),
    ),
    Case("Where is it?", "The documents do not answer this question.", unanswerable=True),
]


in_one_loop = pytest.mark.asyncio(loop_scope="module")


class Bags:
    """Sentence vectors without a server."""

    async def vectors(self, tenant: str, texts: set[str]) -> dict[str, bytes]:
        return {text: base64.b64decode(bag_of_words(text)) for text in texts}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[Worker]:
    """One for all tests of the module: what it imports takes seconds."""
    async with new_worker(memory=3_000_000_000, seconds=600) as one:
        yield one


@pytest.fixture(params=["memory", "worker"])
def scoring(request: pytest.FixtureRequest, worker: Worker) -> Scoring:
    if request.param == "memory":
        return MemoryScoring()
    return WorkerScoring(worker, Bags(), Judges([], concurrency=1))


@pytest.fixture(params=["memory", "worker"])
def statistics(request: pytest.FixtureRequest, worker: Worker) -> Statistics:
    return MemoryStatistics() if request.param == "memory" else WorkerStatistics(worker)


@in_one_loop
async def test_every_metric_that_applies_has_a_score_within_its_bounds(scoring: Scoring) -> None:
    names = [one.name for one in RULES.values() if one.level is not Level.RUN]
    answered, refused = await scoring.score("acme", names, CASES)
    assert set(names) - answered.keys() <= {"language_match"}  # too short to tell
    for name, score in (answered | refused).items():
        metric = RULES[name]
        assert score.error == ""
        assert score.value is not None
        assert math.isfinite(score.value)
        assert score.value >= metric.minimum - 1e-6
        assert metric.maximum is None or score.value <= metric.maximum + 1e-6
    assert "token_f1" not in refused
    assert refused["refusal_correctness"].value == 1.0


@in_one_loop
async def test_a_run_has_metrics_of_its_own(scoring: Scoring) -> None:
    found = await scoring.score_run(["bleu", "token_f1"], CASES)
    assert found.keys() == {"bleu"}
    assert 0 < found["bleu"] <= 100
    assert await scoring.score_run(["bleu"], CASES[1:]) == {}


@in_one_loop
async def test_an_interval_holds_its_mean_and_one_value_has_none(statistics: Statistics) -> None:
    found = await statistics.means({"a": [0.0, 0.5, 1.0, 0.25], "b": [1.0], "c": [2.0, 2.0]})
    assert found.keys() == {"a", "c"}
    assert found["a"].low <= found["a"].mean <= found["a"].high
    assert (found["c"].low, found["c"].high) == (2.0, 2.0)
    assert found == await statistics.means({"a": [0.0, 0.5, 1.0, 0.25], "c": [2.0, 2.0]})


@in_one_loop
async def test_what_pairs_have_in_common_falls_out(statistics: Statistics) -> None:
    first = [0.1, 0.9, 0.3, 0.7]
    second = [value + 0.1 for value in first]
    found = await statistics.differences({"m": (first, second)})
    assert found["m"].low == pytest.approx(0.1)
    assert found["m"].high == pytest.approx(0.1)


@in_one_loop
async def test_agreement_is_one_where_the_order_is_the_same(statistics: Statistics) -> None:
    rising = [float(n) for n in range(12)]
    found = await statistics.agreements({"m": (rising, [n**2 for n in rising])})
    assert found["m"].spearman == pytest.approx(1.0)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=60))
def test_a_bootstrap_interval_lies_within_the_values(values: Sequence[float]) -> None:
    found = means({"m": values})["m"]
    assert min(values) - 1e-9 <= found["low"] <= found["mean"] + 1e-9
    assert found["mean"] - 1e-9 <= found["high"] <= max(values) + 1e-9


@in_one_loop
async def test_a_job_that_fails_says_so_and_the_next_one_works(worker: Worker) -> None:
    with pytest.raises(JobFailed, match="KeyError"):
        await worker.ask("score", {})
    with pytest.raises(JobFailed, match="KeyError"):
        await worker.ask("nothing", {})
    assert await worker.ask("means", {"a": [1.0, 1.0]})


@in_one_loop
async def test_a_worker_that_was_killed_is_replaced(worker: Worker) -> None:
    await worker.ask("means", {"a": [1.0, 1.0]})
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with suppress(JobFailed):  # told, unless its end was seen before
        await worker.ask("means", {"a": [1.0, 1.0]})
    assert await worker.ask("means", {"a": [1.0, 1.0]})


REPORT = {
    "run": {
        "run_id": "r-1",
        "tenant": "acme",
        "title": "answer",
        "target": {"kind": "answer", "prompt_name": "answer"},
        "split": "",
        "examples": 3,
        "failures": 0,
        "costs": {"latency_p50": 0.1, "cost_micros": None},
    },
    "dataset": {"name": "sums", "version": 2},
    "metrics": [{"metric": "token_f1", "mean": 0.5, "low": 0.4, "high": 0.6}],
}


@pytest.fixture(params=["memory", "mlflow"])
def tracker(request: pytest.FixtureRequest, worker: Worker, tmp_path: Path) -> Tracker:
    if request.param == "memory":
        return MemoryTracker()
    return MlflowTracker(worker, f"sqlite:///{tmp_path / 'book' / 'mlflow.db'}")


@in_one_loop
async def test_a_run_is_noted_once(tracker: Tracker, tmp_path: Path) -> None:
    await tracker.track(REPORT, b"<html>page</html>")
    await tracker.track(REPORT, b"<html>page</html>")
    if isinstance(tracker, MemoryTracker):
        assert list(tracker.noted) == ["r-1"]
        return
    with sqlite3.connect(tmp_path / "book" / "mlflow.db") as book:
        assert book.execute("select count(*) from runs").fetchone() == (1,)
        assert book.execute("select value from metrics where key = 'token_f1'").fetchone() == (0.5,)
    (page,) = (tmp_path / "book" / "artifacts").rglob("report.html")
    assert page.read_text() == "<html>page</html>"
