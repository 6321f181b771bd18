"""Feedback is not trusted: caps, suspicion, and a person's word."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from gyre.feedback.v1.events_pb2 import FeedbackRecorded
from gyre_feedback.domain.judgements import State
from gyre_feedback.domain.scores import EntityKind, Protection, Tally
from hypothesis import given
from hypothesis import strategies as st

DAY = 86_400.0
SETTLED = 12


async def settled(world: Any, count: int = SETTLED, *, good: bool = True) -> None:
    """So many accounts judged the prompt, and are no longer young."""
    await world.answer("a-0")
    for number in range(count):
        await world.judge(f"old-{number}", good, answer_id="a-0", rater=f"old-{number}")
        await world.project.all()
        world.now += 60.0  # else they were a flood
    world.now += 8 * DAY
    await world.project.age()


@pytest.mark.parametrize("accounts", [1, 10, 250])
@pytest.mark.parametrize("spread", [1, 250])
async def test_250_bad_judgements_move_no_score_by_more_than_the_cap(
    world: Any, accounts: int, spread: int
) -> None:
    """spread: how many answers they are about."""
    await settled(world)
    before = (await world.score()).score
    for number in range(spread):
        await world.answer(f"a-{number}")
    for number in range(250):
        answer_id, rater = f"a-{number % spread}", f"bad-{number % accounts}"
        await world.judge(f"bad-{number}", False, answer_id=answer_id, rater=rater)
    moved = [
        abs(before - (await world.score(kind=kind, entity_id=name)).score)
        for kind, name in ((EntityKind.PROMPT, "answer/1"), (EntityKind.MODEL, "reader/7"))
    ]
    assert max(moved) <= world.protection.cap


@pytest.mark.parametrize("accounts", [1, 10, 250])
async def test_they_do_not_on_a_prompt_that_nobody_judged_before(world: Any, accounts: int) -> None:
    for number in range(250):
        await world.answer(f"a-{number}")
        await world.judge(
            f"bad-{number}", False, answer_id=f"a-{number}", rater=f"bad-{number % accounts}"
        )
    assert abs(0.5 - (await world.score()).score) <= world.protection.cap


async def test_callers_of_their_own_are_capped_like_raters_of_one_caller(world: Any) -> None:
    await settled(world)
    before = (await world.score()).score
    for number in range(250):
        await world.judge(f"bad-{number}", False, answer_id="a-0", who=f"bot-{number}")
    assert before - (await world.score()).score <= world.protection.cap


async def test_the_plain_mean_would_have_moved(world: Any) -> None:
    """Else the tests above prove nothing."""
    world.watch.__dict__["flood_size"] = 10_000
    await settled(world)
    for number in range(250):
        await world.judge(f"bad-{number}", False, answer_id="a-0", rater=f"bad-{number}")
    score = await world.score()
    assert score.mean < 0.1
    assert score.score > 0.6


@given(
    old=st.lists(st.floats(0, 1), max_size=60),
    young=st.lists(st.floats(0, 1), max_size=60),
    attack=st.lists(st.floats(0, 1), min_size=1, max_size=400),
)
def test_young_accounts_together_move_no_score_by_more_than_the_cap(
    old: list[float], young: list[float], attack: list[float]
) -> None:
    protection = Protection()
    before = protection.score(_tally(old, young)).score
    after = protection.score(_tally(old, [*young, *attack])).score
    assert abs(after - before) <= protection.cap + 1e-9


@given(
    old=st.lists(st.floats(0, 1), max_size=60),
    young=st.lists(st.floats(0, 1), max_size=60),
    one=st.floats(0, 1),
)
def test_one_old_account_moves_no_score_by_more_than_the_cap(
    old: list[float], young: list[float], one: float
) -> None:
    protection = Protection()
    before = protection.score(_tally(old, young)).score
    after = protection.score(_tally([*old, one], young)).score
    assert abs(after - before) <= protection.cap + 1e-9


def _tally(old: list[float], young: list[float]) -> Tally:
    count = len(old) + len(young)
    return Tally(count, sum(old) + sum(young), len(old), sum(old), len(young), sum(young))


def test_a_prior_that_is_too_light_for_the_cap_is_refused() -> None:
    with pytest.raises(ValueError, match="cap"):
        Protection(cap=0.05, prior_votes=10)


async def test_many_old_accounts_do_move_a_score(world: Any) -> None:
    await settled(world, 100)
    assert (await world.score()).score > 0.9


async def test_accounts_grow_old_without_judging_again(world: Any) -> None:
    await world.answer()
    for number in range(20):
        await world.judge(f"f-{number}", True, rater=f"r-{number}")
    young = await world.score()
    assert young.young_accounts == 20
    world.now += 8 * DAY
    await world.project.age()
    old = await world.score()
    assert (old.young_accounts, old.score > young.score) == (0, True)


async def test_an_account_that_judges_too_often_is_quarantined_from_then_on(world: Any) -> None:
    await world.answer()
    for number in range(70):
        await world.answer(f"a-{number}")
        await world.judge(f"f-{number}", True, answer_id=f"a-{number}")
    assert (await world.score()).judgements == 60
    page, _ = await world.browse.quarantine("acme", "rate", 100, "")
    assert [one.judgement.feedback_id for one in page] == [f"f-{n}" for n in range(60, 70)]
    assert len(await world.said("feedback_quarantined")) == 10


async def test_the_rate_is_counted_over_batches(world: Any) -> None:
    for number in range(70):
        await world.answer(f"a-{number}")
        await world.judge(f"f-{number}", True, answer_id=f"a-{number}")
        await world.project.all()
    assert (await world.score()).judgements == 60


async def test_the_same_judgement_under_another_id_is_quarantined(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.judge("f-2", True)
    assert (await world.score()).judgements == 1
    kept = await world.kept("f-2")
    assert (kept.state, kept.reason) == (State.QUARANTINED, "duplicate")


async def test_a_flood_of_equal_judgements_from_young_accounts_is_quarantined(world: Any) -> None:
    await settled(world)
    for number in range(40):
        await world.judge(f"bad-{number}", False, answer_id="a-0", rater=f"bad-{number}")
    score = await world.score()
    assert (score.judgements, score.mean) == (SETTLED, 1.0)
    assert (await world.kept("bad-0")).reason == "collusion"
    assert (await world.kept("old-0")).state is State.RECORDED


async def test_mixed_judgements_of_young_accounts_are_no_flood(world: Any) -> None:
    await world.answer()
    for number in range(80):
        await world.judge(f"f-{number}", number % 3 > 0, rater=f"r-{number}")
    assert (await world.score()).judgements == 80


async def test_what_a_person_releases_counts_again_and_stays(world: Any) -> None:
    await settled(world)
    for number in range(40):
        await world.judge(f"bad-{number}", False, answer_id="a-0", rater=f"bad-{number}")
    await world.project.all()
    names = [("shop", f"bad-{number}") for number in range(40)]
    assert await world.browse.decide("acme", names, "olga", counts=True) == 40
    assert (await world.score()).judgements == SETTLED + 40
    assert len(await world.said("feedback_released")) == 40
    assert await world.browse.decide("acme", names, "olga", counts=True) == 0


async def test_what_a_person_drops_never_counts(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.judge("f-2", True)
    await world.project.all()
    assert await world.browse.decide("acme", [("shop", "f-2")], "olga", counts=False) == 1
    await world.judge("f-2", False, revision=2)
    assert (await world.score()).judgements == 1
    assert (await world.kept("f-2")).state is State.DROPPED


async def test_an_edit_does_not_let_a_judgement_out_of_quarantine(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.judge("f-2", True)
    await world.project.all()
    await world.judge("f-2", False, revision=2)
    assert (await world.score()).judgements == 1
    assert (await world.kept("f-2")).state is State.QUARANTINED


async def test_an_edit_in_quarantine_is_said_when_it_is_released(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.judge("f-2", True)
    await world.project.all()
    await world.judge("f-2", False, revision=2)
    assert len(await world.said("feedback_recorded")) == 2  # both, before the quarantine
    await world.browse.decide("acme", [("shop", "f-2")], "ada", counts=True)
    outbox = world.database.tables.outbox
    query = sa.select(outbox.c.body).where(outbox.c.subject.contains(".feedback_recorded."))
    async with world.database.reading() as connection:
        bodies = list(await connection.scalars(query.order_by(outbox.c.position)))
    said = FeedbackRecorded.FromString(bodies[-1])
    assert (said.feedback.feedback_id, said.feedback.revision) == ("f-2", 2)
    assert said.feedback.value.boolean is False
    assert said.answer.answer_id == "a-1"


async def test_a_vouched_caller_is_never_young(world: Any) -> None:
    await world.answer()
    judged = await world.judge("f-1", True)
    edited = judged.judgement
    await world.submitting.submit("acme", "olga", edited, vouched=True)
    score = await world.score()
    assert (score.accounts, score.young_accounts) == (2, 1)


async def test_helpfulness_is_told_when_it_moved_and_taken_back_with_its_cause(world: Any) -> None:
    await world.answer()
    for number in range(12):
        await world.judge(
            f"f-{number}", False, metric="useful", chunk_id="c-1", rater=f"r-{number}"
        )
    await world.project.all()
    assert len(await world.said("helpfulness_changed")) == 1
    scored = await world.score("c-1", EntityKind.CHUNK, "useful")
    assert scored.score < 0.5
    assert (await world.score("d-1", EntityKind.DOCUMENT, "useful")).judgements == 12
    assert (await world.score("c-2", EntityKind.CHUNK, "useful")).judgements == 0
    for number in range(12):
        await world.submitting.withdraw("acme", "shop", f"f-{number}")
    assert (await world.score("c-1", EntityKind.CHUNK, "useful")).score == pytest.approx(0.5)
    assert len(await world.said("helpfulness_changed")) == 2
