"""A judgement and its answer meet, whichever comes first."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from gyre_feedback.adapters.tables import metadata
from gyre_feedback.domain.errors import Invalid, Missing, Refused
from gyre_feedback.domain.judgements import State
from gyre_feedback.domain.metrics import Failure, MetricType
from gyre_runtime.database import Database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DAY = 86_400.0


async def test_feedback_after_its_answer_is_recorded_at_once(world: Any) -> None:
    await world.answer()
    kept = await world.judge("f-1")
    assert kept.state is State.RECORDED
    assert kept.answer.prompt == "answer/1"
    assert len(await world.said("feedback_recorded")) == 1


async def test_feedback_before_its_answer_waits_and_is_joined(world: Any) -> None:
    assert (await world.judge("f-1")).state is State.WAITING
    assert await world.said("feedback_recorded") == []
    assert await world.answer() == 1
    assert (await world.kept("f-1")).state is State.RECORDED
    assert len(await world.said("feedback_recorded")) == 1


async def test_feedback_and_answers_at_the_same_time_always_meet(world: Any) -> None:
    """On PostgreSQL these are transactions side by side."""
    both = [world.answer(f"a-{number}") for number in range(60)]
    both += [world.judge(f"f-{number}", answer_id=f"a-{number}") for number in range(60)]
    random.Random(5).shuffle(both)
    await asyncio.gather(*both)
    states = [(await world.kept(f"f-{number}")).state for number in range(60)]
    assert set(states) == {State.RECORDED}
    assert len(await world.said("feedback_recorded")) == 60


async def test_feedback_days_after_its_answer_is_recorded(world: Any) -> None:
    await world.answer()
    world.now += 80 * DAY
    assert (await world.judge("f-1")).state is State.RECORDED


async def test_feedback_on_a_chain_run_meets_the_answer_that_it_made(world: Any) -> None:
    await world.judge("f-1", answer_id="", chain_run_id="run-a-1")
    await world.answer()
    kept = await world.kept("f-1")
    assert (kept.state, kept.answer.answer_id) == (State.RECORDED, "a-1")


async def test_a_retry_changes_nothing(world: Any) -> None:
    await world.answer()
    for _ in range(3):
        await world.judge("f-1")
    assert len(await world.said("feedback_recorded")) == 1
    assert (await world.score()).judgements == 1


async def test_an_edit_replaces_what_was_said_and_its_effect(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    assert (await world.score()).mean == 1.0
    await world.judge("f-1", False, revision=2)
    score = await world.score()
    assert (score.mean, score.judgements) == (0.0, 1)
    assert len(await world.said("feedback_recorded")) == 2


async def test_an_older_revision_that_comes_late_changes_nothing(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", False, revision=2)
    kept = await world.judge("f-1", True, revision=1)
    assert kept.judgement.value is False
    assert (await world.score()).mean == 0.0


async def test_another_content_under_a_known_revision_is_refused(world: Any) -> None:
    await world.judge("f-1", True)
    with pytest.raises(Refused, match="send revision 2"):
        await world.judge("f-1", False)


async def test_an_edit_cannot_move_to_another_answer(world: Any) -> None:
    await world.judge("f-1", True)
    with pytest.raises(Refused, match="cannot change"):
        await world.judge("f-1", True, revision=2, answer_id="a-2")


async def test_the_same_id_of_another_caller_is_another_judgement(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.judge("f-1", False, who="rival")
    assert (await world.kept("f-1")).judgement.value is True
    assert (await world.score()).judgements == 2


async def test_a_withdrawn_judgement_has_no_effect(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", False)
    assert (await world.score()).judgements == 1
    kept = await world.submitting.withdraw("acme", "shop", "f-1")
    assert kept.state is State.WITHDRAWN
    assert (await world.score()).judgements == 0
    assert len(await world.said("feedback_withdrawn")) == 1
    await world.submitting.withdraw("acme", "shop", "f-1")
    assert len(await world.said("feedback_withdrawn")) == 1


async def test_nobody_withdraws_what_another_gave(world: Any) -> None:
    await world.judge("f-1")
    with pytest.raises(Missing):
        await world.submitting.withdraw("acme", "rival", "f-1")


async def test_feedback_on_a_passage_that_the_answer_lacks_is_refused(world: Any) -> None:
    await world.answer()
    with pytest.raises(Refused, match="not retrieved"):
        await world.judge("f-1", metric="useful", chunk_id="c-9")


async def test_feedback_on_a_passage_that_turns_out_to_be_lacking_is_rejected(world: Any) -> None:
    await world.judge("f-1", metric="useful", chunk_id="c-9")
    await world.answer()
    kept = await world.kept("f-1")
    assert (kept.state, kept.reason) == (State.REJECTED, "unknown_part")
    assert len(await world.said("feedback_rejected")) == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"metric": "unheard"}, "unknown_metric"),
        ({"value": "yes"}, "invalid"),
        ({"chunk_id": "c-1"}, "invalid"),
        ({"metric": "useful"}, "invalid"),
        ({"answer_id": ""}, "invalid"),
        ({"metric": "comment", "value": ""}, "invalid"),
        ({"answer_id": "a\x00b"}, "invalid"),
        ({"answer_id": "a" * 129}, "invalid"),
        ({"rater": "r\n"}, "invalid"),
        ({"revision": 0}, "invalid"),
        ({"metric": "comment", "value": "x" * 16_385}, "invalid"),
    ],
)
async def test_what_cannot_be_judged_is_refused_with_the_reason(
    world: Any, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        await world.judge("f-1", **{"value": True, **given})
    assert refused.value.reason == reason


async def test_a_comment_and_a_failed_judge_move_no_score(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", "too long", metric="comment")
    await world.judge("f-2", Failure("the judge did not answer"))
    assert (await world.score()).judgements == 0


async def test_feedback_whose_answer_never_comes_goes_to_the_dead_letters(world: Any) -> None:
    await world.judge("f-1")
    world.now += 6 * DAY
    assert await world.give_up.once() == 0
    world.now += 2 * DAY
    assert await world.give_up.once() == 1
    kept = await world.kept("f-1")
    assert (kept.state, kept.reason) == (State.EXPIRED, "answer_never_came")
    assert len(await world.said("feedback_rejected")) == 1
    (letter_id,) = await world.said("feedback_submitted")
    assert await world.judgements.wait_again("acme", "a-1", letter_id)
    assert not await world.judgements.wait_again("acme", "a-1", "letter-unknown")
    assert (await world.kept("f-1")).state is State.WAITING


async def test_an_answer_that_comes_after_all_is_joined_with_what_was_given_up(world: Any) -> None:
    await world.judge("f-1")
    world.now += 8 * DAY
    await world.give_up.once()
    await world.answer()
    assert (await world.kept("f-1")).state is State.RECORDED
    assert (await world.score()).judgements == 1


async def test_texts_are_forgotten_in_time_and_what_is_judged_is_not(world: Any) -> None:
    await world.answer()
    world.now += 91 * DAY
    await world.give_up.once()
    kept = await world.judge("f-1")
    assert kept.answer.prompt == "answer/1"
    item = await world.queue.ask("acme", "a-1")
    assert item.question == ""


@pytest.mark.parametrize("name", ["segment", "prompt_name", "model"])
async def test_an_answer_of_strange_words_is_scored_like_any_other(world: Any, name: str) -> None:
    await world.answer(**{name: "\U0001f600'; DROP TABLE votes; --" * 40})
    await world.judge("f-1", False)
    await world.project.all()
    assert (await world.queue.claim("acme", "rita", None))[0].answer_id == "a-1"


async def test_a_metric_without_finite_bounds_is_refused(world: Any) -> None:
    for low, high in ((0.0, float("inf")), (float("nan"), 1.0), (1.0, 1.0)):
        with pytest.raises(Invalid):
            await world.declare("stars", type=MetricType.NUMBER, minimum=low, maximum=high)


# What happens to three answers and five judgements, in any order and any number of times.
_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("judge"), st.integers(0, 4), st.integers(1, 3)),
        st.tuples(st.just("project"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=_EVENTS)
def test_the_order_and_repetition_of_events_do_not_matter(
    events: list[tuple[str, int, int]], make_world: Any, tmp_path: Path
) -> None:
    assert asyncio.run(_played(events, make_world)) == asyncio.run(
        _played(sorted(set(events)), make_world)
    )


async def _played(events: list[tuple[str, int, int]], make_world: Any) -> Any:
    """The last state of everything; revision 3 withdraws."""
    database = Database("sqlite+aiosqlite://", metadata)
    await database.start()
    world = make_world(database, account_rate=10_000)
    await world.declare()
    for kind, number, revision in events:
        if kind == "answer":
            await world.answer(f"a-{number}", prompt_version=str(number % 2))
        elif kind == "judge":
            value = None if revision == 3 else bool((number + revision) % 2)
            name = f"a-{number % 3}"
            await world.judge(
                f"f-{number}", value, answer_id=name, revision=revision, who=f"who-{number}"
            )
        else:
            await world.project.all()
    kept = [await world.judgements.get(("acme", f"who-{n}", f"f-{n}")) for n in range(5)]
    scores = [await world.score(f"answer/{version}") for version in range(2)]
    assert world.failures == []
    await database.stop()
    states = [one and (one.state, one.judgement.revision, one.judgement.value) for one in kept]
    return states, [(one.judgements, round(one.score, 9)) for one in scores]
