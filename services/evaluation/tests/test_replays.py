"""History is given again, through the service's own doors."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from gyre.evaluation.v1 import replay_pb2 as wire
from gyre.evaluation.v1 import scores_pb2, service_pb2
from gyre.evaluation.v1.events_pb2 import ModelEvaluated, PromptEvaluated
from gyre.inference.v1.answer_pb2 import ChatMessage, FinishReason
from gyre_evaluation.adapters.memory import MemoryTargets
from gyre_evaluation.domain.originals import Original
from gyre_evaluation.domain.runs import Kind, Target
from gyre_evaluation.ports import Again
from gyre_evaluation.wire.targets import replay_request
from gyre_runtime.bus import subject_of
from offline_world import ANSWERS
from replay_world import REFUSAL, YESTERDAY, Past, SlowAgain, given, remembering

Filter = service_pb2.AnswerFilter


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[Past]:
    async with remembering(tmp_path) as one:
        yield one


async def test_what_gives_the_same_answers_is_not_worse_and_changes_nothing(past: Past) -> None:
    await past.heard_all()
    replay = await past.replayed(target=scores_pb2.Target(model="other"))
    assert replay.state == wire.REPLAY_STATE_SUCCEEDED, replay.detail
    assert (replay.answers, replay.done, replay.failures) == (30, 30, 0)
    assert (replay.changed, replay.refusals_gained, replay.refusals_lost) == (0, 0, 0)
    differences = {one.metric: one for one in replay.differences}
    assert differences.keys() == {"groundedness", "refusal", "answer_words"}
    assert {one.pairs for one in differences.values()} == {30}
    assert {one.verdict for one in differences.values()} == {scores_pb2.VERDICT_NOT_WORSE}


async def test_both_answers_are_judged_by_the_sentences_that_they_were_given(past: Past) -> None:
    await past.heard_all()
    replay = await past.replayed()
    (grounded,) = (one for one in replay.differences if one.metric == "groundedness")
    assert grounded.baseline == grounded.candidate == pytest.approx(1.0)
    assert {len(one.original.passages) for one in past.world.targets.replayed} == {2}


async def test_a_model_that_refuses_everything_is_worse_and_its_refusals_are_counted(
    past: Past,
) -> None:
    await past.heard_all()
    past.world.targets.answers = dict.fromkeys(ANSWERS, REFUSAL)
    replay = await past.replayed(target=scores_pb2.Target(model="shy"))
    assert (replay.changed, replay.refusals_gained, replay.refusals_lost) == (30, 30, 0)
    (refusals,) = (one for one in replay.differences if one.metric == "refusal")
    assert (refusals.baseline, refusals.candidate) == (0.0, 1.0)


async def test_what_the_target_leaves_open_is_as_it_was_recorded(past: Past) -> None:
    await past.heard_all()
    asked: list[Target] = []
    answer = past.world.targets.replay

    async def noted(tenant: str, target: Target, again: Again) -> object:
        asked.append(target)
        return await answer(tenant, target, again)

    past.world.targets.replay = noted
    await past.replayed(target=scores_pb2.Target(model="other"))
    assert {(one.prompt_name, one.prompt_version, one.model) for one in asked} == {
        ("answer", "3", "other")
    }
    await past.replayed(target=scores_pb2.Target(prompt_name="terse"))
    assert {(one.prompt_name, one.prompt_version, one.model) for one in asked[30:]} == {
        ("terse", "1", "reader")
    }


async def test_a_replay_may_search_again_in_another_collection(past: Past) -> None:
    await past.heard_all()
    target = scores_pb2.Target(collection="sums-shadow")
    replay = await past.replayed(target=target, search_again=True)
    assert (replay.target.kind, replay.target.collection) == ("replay_searched", "sums-shadow")
    assert (replay.state, replay.done) == (wire.REPLAY_STATE_SUCCEEDED, 30)


async def test_answers_are_chosen_by_what_is_known_of_them(past: Past) -> None:
    questions = list(ANSWERS.items())
    await past.hears(
        given(1, *questions[1], model="old"),
        given(2, *questions[2], metadata={"language": "de"}),
        given(3, questions[3][0], REFUSAL, finish_reason=FinishReason.FINISH_REASON_REFUSED),
        given(4, *questions[4], collection="other", prompt_name="terse"),
        given(5, *questions[5], time=datetime.now(UTC) - timedelta(days=9)),
    )

    async def chosen(**fields: object) -> int:
        started = await past.started(recorded_answers=Filter(**fields))  # type: ignore[arg-type]
        return (await past.ended(started.replay_id)).answers

    since = Filter()
    since.start_time.FromDatetime(YESTERDAY)
    assert await chosen(model="old") == 1
    assert await chosen(language="de") == 1
    assert await chosen(refused=True) == 1
    assert await chosen(refused=False) == 4
    assert await chosen(collection="other") == 1
    assert await chosen(prompt_name="terse") == 1
    assert await chosen(limit=2) == 2
    started = await past.started(recorded_answers=since)
    assert (await past.ended(started.replay_id)).answers == 4


async def test_what_cannot_be_given_again_is_counted_by_reason(past: Past) -> None:
    (question, text), (other, answer) = list(ANSWERS.items())[:2]
    chat = [ChatMessage(role="user", content=other)]
    await past.hears(
        given(1, question, text),
        given(2, question, text),
        given(3, "Who?", REFUSAL, prompt_arguments={}),
        given(4, "What?", ""),
        given(
            5,
            other,
            answer,
            workload="generate",
            prompt_name="",
            prompt_version="",
            collection="",
            prompt_arguments={},
            messages=chat,
        ),
        given(6, other, answer, workload="support"),
    )
    again = await past.replayed()
    assert dict(again.left_out) == {"duplicate": 1, "no_arguments": 1, "no_text": 1}
    assert again.answers == 3
    searched = await past.replayed(search_again=True)
    assert dict(searched.left_out) == {"duplicate": 1, "no_text": 1, "no_collection": 1, "chain": 1}
    prompted = await past.replayed(target=scores_pb2.Target(prompt_name="terse"))
    assert dict(prompted.left_out) == {"duplicate": 1, "no_arguments": 2, "no_text": 1}


async def test_a_replay_of_nothing_fails_and_says_why(past: Past) -> None:
    replay = await past.replayed()
    assert replay.state == wire.REPLAY_STATE_FAILED
    assert replay.detail == "no recorded answer is like that"


async def test_a_replay_whose_target_is_away_fails_with_the_reason(past: Past) -> None:
    await past.heard_all()
    past.world.targets.available = False
    replay = await past.replayed()
    assert replay.state == wire.REPLAY_STATE_FAILED
    assert "UNAVAILABLE" in replay.detail


async def test_answers_that_come_later_are_no_part_of_it(past: Past) -> None:
    await past.heard_all()
    replay = await past.started()
    assert replay.recorded_answers.HasField("end_time")
    assert replay.recorded_answers.end_time.ToDatetime(UTC) <= datetime.now(UTC)


async def test_the_same_creation_key_finds_the_same_replay(past: Past) -> None:
    await past.heard_all()
    first = await past.replayed(creation_key="k1")
    again = await past.replayed(creation_key="k1")
    assert first.replay_id == again.replay_id
    listed = await past.call("ListReplays", wire.ListReplaysRequest())
    assert [one.replay_id for one in listed.replays] == [first.replay_id]


async def test_a_replay_whose_process_was_killed_goes_on_and_asks_each_once(
    tmp_path: Path,
) -> None:
    program = Path(__file__).with_name("killed_replay.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    replay_id = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()
    before = (tmp_path / "asked").read_text().splitlines()
    targets = MemoryTargets(dict(ANSWERS))
    async with remembering(tmp_path, targets) as past:
        replay = await past.ended(replay_id)
    after = [one.question for one in targets.replayed]
    assert (replay.state, replay.done) == (wire.REPLAY_STATE_SUCCEEDED, 30)
    assert len(set(after)) == len(after)
    # What was under way when it was killed, two at most, had left no trace.
    assert len(set(before) & set(after)) <= 2
    assert set(before) | set(after) == set(ANSWERS)


async def test_a_cancelled_replay_stops_asking_and_keeps_what_it_did(tmp_path: Path) -> None:
    async with remembering(tmp_path, SlowAgain(dict(ANSWERS)), run_concurrency=4) as past:
        await past.heard_all()
        started = await past.started(concurrency=1)
        await past.caught(started.replay_id, 2)
        request = wire.CancelReplayRequest(replay_id=started.replay_id)
        cancelled = (await past.call("CancelReplay", request)).replay
        assert cancelled.state == wire.REPLAY_STATE_CANCELLED
        run = await past.world.ended(cancelled.replayed_run_id)
        assert run.state == service_pb2.RUN_STATE_CANCELLED
        assert 2 <= run.done < 30
        again = (await past.call("CancelReplay", request)).replay
        assert again.end_time == cancelled.end_time


async def test_no_more_answers_are_asked_for_at_once_than_the_replay_says(tmp_path: Path) -> None:
    targets = Crowded(dict(ANSWERS))
    async with remembering(tmp_path, targets, run_concurrency=8) as past:
        await past.heard_all()
        await past.replayed(concurrency=3)
    assert targets.most == 3


class Crowded(MemoryTargets):
    """Counts the answers that are asked for at once."""

    now = most = 0

    async def replay(self, tenant: str, target: Target, again: Again) -> object:  # type: ignore[override]
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return await super().replay(tenant, target, again)


async def test_a_replay_says_nothing_on_the_bus(past: Past) -> None:
    await past.heard_all()
    await past.replayed(target=scores_pb2.Target(prompt_name="answer"))
    for event in (PromptEvaluated, ModelEvaluated):
        prefix = subject_of(event, "*").removesuffix("*")
        said = [one for one in past.world.exchange.messages if one.subject.startswith(prefix)]
        assert said == []


async def test_answers_of_a_replay_are_no_history_of_their_own(past: Past) -> None:
    labels = {"gyre.source": "evaluation", "gyre.replay": "r-1"}
    questions = list(ANSWERS.items())
    await past.hears(
        given(1, *questions[1]),
        given(2, *questions[2], principal="evaluation", metadata=labels),
        given(3, *questions[3], principal="shop", metadata=labels),  # anybody may claim so
    )
    assert (await past.replayed()).answers == 2


def test_a_request_is_marked_and_no_experiment_takes_it() -> None:
    original = Original(
        answer_id="a",
        prompt_name="answer",
        prompt_version="3",
        model="reader",
        arguments={"sentences": '[{"text": "One."}]'},
    )
    target = Target(Kind.REPLAY).over(original)
    request = replay_request(target, Again("What?", original, "r-1"))
    assert dict(request.metadata) == {"gyre.source": "evaluation", "gyre.replay": "r-1"}
    assert (request.prompt_name, request.prompt_version) == ("answer", "3")  # type: ignore[union-attr]
    assert dict(request.prompt_arguments) == dict(original.arguments)  # type: ignore[union-attr]
    chat = Original(model="reader", messages=(("system", "Be kind."), ("user", "Hello?")))
    told = replay_request(Target(Kind.REPLAY).over(chat), Again("Hello?", chat, "r-1"))
    assert [one.role for one in told.messages] == ["system", "user"]  # type: ignore[union-attr]
    assert told.model == "reader"


async def test_the_report_shows_what_changed_side_by_side(past: Past) -> None:
    await past.heard_all()
    hostile = {**ANSWERS, "What is 7 plus 1?": "<script>alert(1)</script> 9, I believe."}
    past.world.targets.answers = {**hostile, "What is 8 plus 1?": REFUSAL}
    replay = await past.replayed(target=scores_pb2.Target(model="other"), label="try")
    report = json.loads(await past.report(replay.replay_id))
    assert report["counts"] == {
        "chosen": 30,
        "replayed": 30,
        "compared": 30,
        "failures": 0,
        "changed": 2,
        "gained": 1,
        "lost": 0,
    }
    changed = {one["question"]: one for one in report["most_changed"]}
    assert changed.keys() == {"What is 7 plus 1?", "What is 8 plus 1?"}
    assert changed["What is 8 plus 1?"]["refusal"] == "gained"
    assert changed["What is 7 plus 1?"]["before"]["text"] == "It is 8."
    page = (await past.report(replay.replay_id, html=True)).decode()
    assert "9, I believe." in page
    assert "refusal gained" in page
    assert "<svg" in page
    assert "<script" not in page
    assert "src=" not in page


async def test_there_is_no_report_before_the_end(tmp_path: Path) -> None:
    async with remembering(tmp_path, SlowAgain(dict(ANSWERS)), run_concurrency=1) as past:
        await past.heard_all()
        started = await past.started()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await past.report(started.replay_id)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_rival_sees_nothing_and_a_reader_starts_nothing(past: Past) -> None:
    await past.heard_all()
    replay = await past.replayed()
    asked = wire.GetReplayRequest(replay_id=replay.replay_id)
    assert (await past.refused("GetReplay", asked, "key-rival")).code() is (
        grpc.StatusCode.NOT_FOUND
    )
    assert not (await past.call("ListReplays", wire.ListReplaysRequest(), "key-rival")).replays
    refusal = await past.refused("StartReplay", wire.StartReplayRequest(), "key-reader")
    assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": ["beauty"]}, "beauty"),
        ({"target": scores_pb2.Target(chain="support")}, "target.chain"),
        ({"target": scores_pb2.Target(prompt_version="2")}, "name the prompt"),
        ({"recorded_answers": Filter(limit=1_000_000)}, "20000"),
        ({"margin": -1.0}, "at least 0"),
    ],
)
async def test_a_replay_that_cannot_be_says_what_to_give(
    past: Past, fields: dict[str, object], said: str
) -> None:
    refusal = await past.refused("StartReplay", wire.StartReplayRequest(**fields))  # type: ignore[arg-type]
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(refusal.trailing_metadata()) + str(refusal.details())


async def test_a_run_cannot_pass_for_a_replay(past: Past) -> None:
    await past.world.dataset()
    request = service_pb2.StartRunRequest(dataset="sums", target=scores_pb2.Target(kind="replay"))
    refusal = await past.world.refused("StartRun", request)
    assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
