"""Datasets, runs, comparisons and reports through the service's own doors."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from gyre.evaluation.v1 import scores_pb2
from gyre.evaluation.v1 import service_pb2 as wire
from gyre.evaluation.v1.events_pb2 import ModelEvaluated, PromptEvaluated
from gyre_evaluation.adapters.memory import MemoryTargets
from killed_program import Slow
from offline_world import ANSWERS, World, running


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as one:
        yield one


async def test_a_sealed_dataset_changes_no_more(world: World) -> None:
    dataset = await world.dataset()
    assert (dataset.examples, dict(dataset.splits)) == (30, {"test": 30})
    assert len(dataset.content_hash) == 64
    more = wire.AddExamplesRequest(
        name="sums", version=1, examples=[wire.Example(question="What else?")]
    )
    refusal = await world.refused("AddExamples", more)
    assert refusal.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "open a new version" in (refusal.details() or "")


async def test_the_same_creation_key_finds_the_same_version(world: World) -> None:
    request = wire.CreateDatasetRequest(name="sums", creation_key="k1")
    first = await world.call("CreateDataset", request)
    again = await world.call("CreateDataset", request)
    other = await world.call("CreateDataset", wire.CreateDatasetRequest(name="sums"))
    versions = [one.dataset.version for one in (first, again, other)]
    assert versions == [1, 1, 2]


async def test_an_example_that_is_there_is_not_added_again(world: World) -> None:
    await world.call("CreateDataset", wire.CreateDatasetRequest(name="sums"))
    request = wire.AddExamplesRequest(
        name="sums", version=1, examples=[wire.Example(question="What is 1 plus 1?")]
    )
    first = await world.call("AddExamples", request)
    again = await world.call("AddExamples", request)
    assert (first.added, again.added) == (1, 0)
    assert first.example_ids == again.example_ids


async def test_a_new_version_may_begin_with_an_earlier_one(world: World) -> None:
    await world.dataset()
    request = wire.CreateDatasetRequest(name="sums", base_version=1)
    made = await world.call("CreateDataset", request)
    assert (made.dataset.version, made.dataset.examples, made.dataset.sealed) == (2, 30, False)


async def test_a_run_answers_and_scores_every_example_and_says_so(world: World) -> None:
    await world.dataset()
    run = await world.ran(target=scores_pb2.Target(prompt_name="answer"))
    assert run.state == wire.RUN_STATE_SUCCEEDED
    assert (run.examples, run.done, run.failures) == (30, 30, 0)
    means = {one.metric: one.mean for one in run.summaries}
    assert means == {"exact_match": 1.0, "token_f1": 1.0}
    assert run.costs.output_tokens > 0
    (prompt,) = await world.said(PromptEvaluated)
    (model,) = await world.said(ModelEvaluated)
    assert (prompt.prompt_name, prompt.prompt_version, prompt.dataset) == ("answer", "1", "sums")
    assert model.run_id == prompt.run_id == run.run_id


async def test_without_metrics_every_rule_that_fits_is_computed(world: World) -> None:
    await world.dataset()
    run = await world.ran(metrics=[])
    computed = {one.metric for one in run.summaries}
    assert {"token_f1", "groundedness", "bleu", "refusal_correctness"} <= computed
    assert "ndcg_at_10" not in computed  # no example says which passages are relevant
    scored = {one.metric: one for one in run.summaries}
    assert scored["bleu"].count == 30


async def test_a_second_run_takes_the_answers_from_the_first(world: World) -> None:
    await world.dataset()
    await world.ran()
    asked = len(world.targets.asked)
    again = await world.ran()
    assert (again.cached, len(world.targets.asked)) == (30, asked)
    fresh = await world.ran(ignore_cache=True)
    assert (fresh.cached, len(world.targets.asked)) == (0, 2 * asked)
    warmer = await world.ran(target=scores_pb2.Target(temperature=0.5))
    assert warmer.cached == 0


async def test_an_example_that_is_refused_is_a_failure_and_the_run_goes_on(world: World) -> None:
    await world.dataset({**ANSWERS, "What is love?": "Unknown."})
    run = await world.ran()
    assert (run.state, run.failures) == (wire.RUN_STATE_SUCCEEDED, 1)
    assert {one.count for one in run.summaries} == {30}
    report = json.loads(await world.report(run.run_id))
    (failed,) = report["failed"]
    assert "unknown question" in failed["error"]


async def test_a_run_fails_with_the_reason_where_the_target_is_away(world: World) -> None:
    await world.dataset()
    world.targets.available = False
    run = await world.ran()
    assert run.state == wire.RUN_STATE_FAILED
    assert "UNAVAILABLE" in run.detail


async def test_a_run_without_any_answer_has_failed(world: World) -> None:
    await world.dataset()
    world.targets.answers = {}
    run = await world.ran()
    assert run.state == wire.RUN_STATE_FAILED
    assert "unknown question" in run.detail


async def test_a_run_that_meets_a_fault_ends_and_is_not_tried_for_ever(world: World) -> None:
    await world.dataset()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    world.targets.resolve = broken
    run = await world.ran()
    assert (run.state, run.detail) == (wire.RUN_STATE_FAILED, "a fault of ours")


async def test_the_same_creation_key_finds_the_same_run(world: World) -> None:
    await world.dataset()
    first = await world.ran(creation_key="ci-42")
    again = await world.ran(creation_key="ci-42")
    assert first.run_id == again.run_id


async def test_a_run_whose_process_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_program.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    run_id = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()
    targets = MemoryTargets(dict(ANSWERS))
    async with running(tmp_path, targets) as world:
        run = await world.ended(run_id)
    assert (run.state, run.done) == (wire.RUN_STATE_SUCCEEDED, 30)
    assert len(targets.asked) <= 24


async def test_a_cancelled_run_keeps_what_it_did(tmp_path: Path) -> None:
    async with running(tmp_path, Slow(dict(ANSWERS)), run_concurrency=1) as world:
        await world.dataset()
        given = wire.StartRunRequest(dataset="sums", metrics=["exact_match"])
        run_id = (await world.call("StartRun", given)).run.run_id
        await world.caught(run_id, 2)
        await world.call("CancelRun", wire.CancelRunRequest(run_id=run_id))
        run = await world.ended(run_id)
    assert run.state == wire.RUN_STATE_CANCELLED
    assert 2 <= run.done < 30


async def test_a_worse_candidate_is_called_worse_and_the_same_one_is_not(world: World) -> None:
    await world.dataset()
    baseline = await world.ran(label="base")
    world.targets.answers = dict.fromkeys(ANSWERS, "No idea.")
    worse = await world.ran(label="worse", target=scores_pb2.Target(model="other"))
    world.targets.answers = dict(ANSWERS)
    same = await world.ran(label="same", target=scores_pb2.Target(model="third"))
    runs = [one.run_id for one in (baseline, worse, same)]
    compared = await world.call("CompareRuns", wire.CompareRunsRequest(run_ids=runs))
    first, second = compared.comparisons
    assert {one.verdict for one in first.differences} == {scores_pb2.VERDICT_WORSE}
    assert {one.verdict for one in second.differences} == {scores_pb2.VERDICT_NOT_WORSE}
    assert {one.pairs for one in second.differences} == {30}


async def test_too_few_pairs_are_no_pass(world: World) -> None:
    await world.dataset()
    runs = [
        (await world.ran(limit=5, target=scores_pb2.Target(model=name))).run_id for name in "ab"
    ]
    compared = await world.call("CompareRuns", wire.CompareRunsRequest(run_ids=runs))
    verdicts = {one.verdict for one in compared.comparisons[0].differences}
    assert verdicts == {scores_pb2.VERDICT_INSUFFICIENT}


async def test_a_report_stands_alone_on_its_page(world: World) -> None:
    await world.dataset()
    runs = [
        (await world.ran(metrics=[], target=scores_pb2.Target(model=name))).run_id for name in "ab"
    ]
    report = json.loads(await world.report(runs[0]))
    assert {table["slice"] for table in report["slices"]} == {"parity"}
    assert len(report["worst"]) == 20
    page = (await world.report(runs[0], html=True)).decode()
    both = (await world.report(*runs, html=True)).decode()
    for text in (page, both):
        assert "<svg" in text
        assert "<script" not in text
        assert "src=" not in text
        assert "What is 7 plus 1?" in text or text is both
    assert "insufficient" in both or "not worse" in both


async def test_hostile_text_stays_text_on_the_page(world: World) -> None:
    await world.dataset({**ANSWERS, "<script>alert(1)</script> and?": "x"})
    world.targets.answers = {**ANSWERS, "<script>alert(1)</script> and?": "<img onerror=x>"}
    run = await world.ran()
    page = (await world.report(run.run_id, html=True)).decode()
    assert "<script" not in page
    assert "<img" not in page


async def test_a_rival_sees_nothing(world: World) -> None:
    await world.dataset()
    run = await world.ran()
    for method, request in (
        ("GetDataset", wire.GetDatasetRequest(name="sums")),
        ("GetRun", wire.GetRunRequest(run_id=run.run_id)),
        ("CancelRun", wire.CancelRunRequest(run_id=run.run_id)),
    ):
        assert (await world.refused(method, request, "key-rival")).code() is (
            grpc.StatusCode.NOT_FOUND
        )
    assert not (await world.call("ListRuns", wire.ListRunsRequest(), "key-rival")).runs


async def test_a_run_that_ended_is_noted_in_mlflow(tmp_path: Path) -> None:
    book = tmp_path / "book" / "mlflow.db"
    async with running(tmp_path, mlflow_tracking_uri=f"sqlite:///{book}", run_lease=1.5) as world:
        await world.dataset()
        run = await world.ran()
        for _ in range(240):
            if noted := _noted(book):
                break
            await asyncio.sleep(0.5)
    assert noted == [run.run_id]


def _noted(book: Path) -> list[str]:
    """Runs that have all of their metrics."""
    if not book.exists():
        return []
    query = (
        "select tags.value from tags join metrics using (run_uuid) "
        "where tags.key = 'gyre.run_id' and metrics.key = 'exact_match'"
    )
    try:
        with sqlite3.connect(book) as opened:
            return [one for (one,) in opened.execute(query)]
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):  # they are being made
            raise
        return []


async def test_a_reader_starts_nothing(world: World) -> None:
    request = wire.StartRunRequest(dataset="sums")
    refusal = await world.refused("StartRun", request, "key-reader")
    assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": ["beauty"]}, "beauty"),
        ({"split": "train"}, "test"),
        ({"target": scores_pb2.Target(kind="magic")}, "recorded"),
        ({"target": scores_pb2.Target(kind="chain")}, "name the chain"),
    ],
)
async def test_a_run_that_cannot_be_says_what_to_give(
    world: World, fields: dict[str, object], said: str
) -> None:
    await world.dataset()
    refusal = await world.refused("StartRun", wire.StartRunRequest(dataset="sums", **fields))  # type: ignore[arg-type]
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(refusal.trailing_metadata()) + str(refusal.details())


async def test_lists_come_in_pages(world: World) -> None:
    await world.dataset()
    for _ in range(3):
        await world.ran(limit=1)
    seen, token = [], ""
    while True:
        request = wire.ListRunsRequest(page_size=2, page_token=token)
        reply = await world.call("ListRuns", request)
        seen += [run.run_id for run in reply.runs]
        token = reply.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 3
    assert seen == sorted(seen, reverse=True)
    examples = wire.ListExamplesRequest(name="sums", page_size=20)
    first = await world.call("ListExamples", examples)
    examples.page_token = first.next_page_token
    second = await world.call("ListExamples", examples)
    assert (len(first.examples), len(second.examples)) == (20, 10)


async def test_recorded_answers_are_scored_without_asking(world: World) -> None:
    made = wire.CreateDatasetRequest(name="old")
    await world.call("CreateDataset", made)
    examples = [
        wire.Example(question=f"Question {n}?", references=["yes"], recorded_answer="yes")
        for n in range(3)
    ]
    request = wire.AddExamplesRequest(name="old", version=1, examples=examples)
    await world.call("AddExamples", request)
    await world.call("SealDataset", wire.SealDatasetRequest(name="old", version=1))
    run = await world.ran(dataset="old", target=scores_pb2.Target(kind="recorded"))
    assert {one.mean for one in run.summaries} == {1.0}
    assert world.targets.asked == []
    assert datetime.now(UTC).timestamp() - run.create_time.seconds < 60
