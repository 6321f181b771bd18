"""People look at answers again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gyre_feedback.domain.errors import Invalid, Missing
from gyre_feedback.domain.records import Format, label_studio_configuration
from gyre_feedback.domain.reviews import QueueRules, Review, ReviewReason
from gyre_feedback.use_cases.reviewing import AutomaticScore

RIGHT = {"correct": "right", "grounded": "yes", "helpful": "yes"}
WRONG = {"correct": "wrong", "grounded": "no", "helpful": "partly"}


async def review(world: Any, answer_id: str, reviewer: str, labels: dict[str, str]) -> None:
    await world.queue.complete("acme", Review(answer_id, reviewer, labels=labels))


async def test_a_badly_judged_answer_is_put_up_for_review(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", False)
    await world.project.all()
    item, until = await world.queue.claim("acme", "rita", None)
    assert (item.answer_id, item.reasons) == ("a-1", (ReviewReason.LOW_SCORE,))
    assert (item.question, item.text) == ("What does it cost?", "Five pounds [1].")
    assert until == world.now + 900


async def test_an_answer_that_people_disagree_on_comes_before_a_bad_one(world: Any) -> None:
    await world.answer("bad")
    await world.judge("f-1", False, answer_id="bad")
    await world.answer("disputed")
    await world.judge("f-2", True, answer_id="disputed")
    await world.judge("f-3", False, answer_id="disputed", rater="r-1")
    await world.project.all()
    item, _ = await world.queue.claim("acme", "rita", None)
    assert (item.answer_id, item.reasons) == ("disputed", (ReviewReason.DISAGREEMENT,))


async def test_a_well_judged_answer_is_not_reviewed(world: Any) -> None:
    await world.answer()
    await world.judge("f-1", True)
    await world.project.all()
    with pytest.raises(Missing):
        await world.queue.claim("acme", "rita", None)


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (AutomaticScore("groundedness", 0.1, judged=False), ReviewReason.LOW_SCORE),
        (AutomaticScore("correctness", 0.55, judged=True), ReviewReason.LOW_CONFIDENCE),
        (AutomaticScore("correctness", 0.9, True, confidence=0.2), ReviewReason.LOW_CONFIDENCE),
        (AutomaticScore("correctness", 0.9, judged=True), None),
    ],
)
async def test_an_evaluation_puts_up_what_is_low_or_unsure(
    world: Any, score: AutomaticScore, reason: ReviewReason | None
) -> None:
    await world.answer()
    assert await world.queue.consider("acme", "a-1", [score]) is reason


async def test_a_share_of_all_answers_is_drawn_and_the_same_ones_each_time() -> None:
    rules = QueueRules(sample=0.2)
    drawn = [name for name in map(str, range(1000)) if rules.draws("acme", name)]
    assert 150 < len(drawn) < 250
    assert all(rules.draws("acme", name) for name in drawn)


async def test_two_reviewers_get_an_item_and_a_third_does_not(world: Any) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    for reviewer in ("rita", "ruth"):
        item, _ = await world.queue.claim("acme", reviewer, None)
        assert item.answer_id == "a-1"
    with pytest.raises(Missing):
        await world.queue.claim("acme", "rosa", None)


async def test_a_claim_that_ran_out_is_free_for_others(world: Any) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    for reviewer in ("rita", "ruth"):
        await world.queue.claim("acme", reviewer, None)
    world.now += 901
    item, _ = await world.queue.claim("acme", "rosa", None)
    assert item.answer_id == "a-1"


async def test_a_declined_item_goes_to_somebody_else(world: Any) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    await world.queue.claim("acme", "rita", None)
    item = await world.queue.complete("acme", Review("a-1", "rita", declined=True, comment="no"))
    assert item.review_count == 0
    with pytest.raises(Missing):
        await world.queue.claim("acme", "rita", None)
    assert (await world.queue.claim("acme", "ruth", None))[0].answer_id == "a-1"


async def test_a_review_off_the_rubric_is_refused(world: Any) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    for labels in ({"correct": "perhaps"}, {"unasked": "yes"}, {}):
        with pytest.raises(Invalid):
            await review(world, "a-1", "rita", labels)


async def test_completing_again_replaces_the_review(world: Any) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    await review(world, "a-1", "rita", WRONG)
    await review(world, "a-1", "rita", RIGHT)
    summary = await world.queue.summary("acme")
    assert (summary.completed, summary.open_items) == (1, 1)


async def test_reviewers_who_agree_have_an_alpha_of_one_and_others_less(world: Any) -> None:
    for number in range(8):
        await world.answer(f"a-{number}")
        await world.queue.ask("acme", f"a-{number}")
        labels = RIGHT if number % 2 else WRONG
        other = {**labels, "helpful": "no" if number % 3 else "yes"}
        await review(world, f"a-{number}", "rita", labels)
        await review(world, f"a-{number}", "ruth", other)
    summary = await world.queue.summary("acme")
    alphas = {one.question: one.alpha for one in summary.agreements}
    assert (alphas["correct"], summary.done_items) == (pytest.approx(1.0), 8)
    assert alphas["helpful"] < 0.5


@pytest.mark.parametrize("kind", Format)
async def test_what_is_exported_comes_back_the_same(
    world: Any, make_world: Any, kind: Format
) -> None:
    await world.answer()
    await world.queue.ask("acme", "a-1")
    await review(world, "a-1", "rita", RIGHT)
    await world.queue.complete(
        "acme", Review("a-1", "ruth", labels=WRONG, correction="Six.", comment="see page 2")
    )
    await world.queue.complete("acme", Review("a-1", "rosa", declined=True))
    exported = [one async for one in world.transfer.export("acme", kind, only_done=True)]
    assert json.loads(json.dumps(exported)) == exported
    (record,) = exported
    assert await world.transfer.bring("globex", kind, record) == (1, 3)
    assert await world.transfer.bring("globex", kind, record) == (0, 0)
    again = [one async for one in world.transfer.export("globex", kind, only_done=True)]
    assert _without_reasons(again) == _without_reasons(exported)


def _without_reasons(records: list[dict[str, Any]]) -> str:
    """An import says that it is one."""
    text = json.dumps(records, sort_keys=True)
    return text.replace('"imported"', "").replace('"asked"', "")


async def test_label_studio_s_own_annotations_are_understood(world: Any) -> None:
    task = {
        "id": 7,
        "data": {"answer_id": "x-1", "question": "Why?", "answer": "Because."},
        "annotations": [
            {
                "id": 3,
                "completed_by": 12,
                "was_cancelled": False,
                "result": [
                    {
                        "id": "k",
                        "from_name": "correct",
                        "to_name": "answer",
                        "type": "choices",
                        "origin": "manual",
                        "value": {"choices": ["right"]},
                    }
                ],
                "created_at": "2026-01-05T12:00:00.000000Z",
                "lead_time": 4.2,
            }
        ],
    }
    assert await world.transfer.bring("acme", Format.LABEL_STUDIO, task) == (1, 1)
    (found,) = await world.reviews.reviews("acme")
    assert (found.reviewer, found.labels) == ("label-studio:12", {"correct": "right"})


async def test_a_record_that_is_none_is_refused_with_what_is_missing(world: Any) -> None:
    with pytest.raises(Invalid, match="answer_id"):
        await world.transfer.bring("acme", Format.JSONL, {"question": "?"})
    broken = {"answer_id": "a", "reviews": [{"labels": {}}]}
    with pytest.raises(Invalid, match="reviews"):
        await world.transfer.bring("acme", Format.JSONL, broken)


def test_the_labelling_interface_asks_every_question_of_the_rubric() -> None:
    text = label_studio_configuration()
    assert all(f'name="{name}"' in text for name in ("correct", "grounded", "helpful"))
