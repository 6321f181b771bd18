"""Experiments: shares, the same variant for the same person, recorded in every answer."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from dataclasses import replace

import pytest
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant
from gyre_inference.domain.faults import InvalidRequest, NotFound
from gyre_inference.domain.generation import Message, Parameters
from gyre_inference.domain.record import AnswerRecord, Labels
from gyre_inference.domain.requests import Conversation, Question
from gyre_inference.use_cases import Done
from inference_world import CALLER, World

COST = Question("How many cents does every megabyte cost outside?")
PLAIN = Variant("plain", 1.0)
FREE = Variant("free", 1.0, "answer-free", parameters=Parameters(temperature=0.5))
TONE = Experiment("tone", "answer", (PLAIN, FREE))


async def ask(world: World, question: Question = COST, **labels: str) -> AnswerRecord:
    asked = replace(question, labels=Labels(**labels))
    async with aclosing(world.answers.answer(asked, CALLER)) as told:
        done = [event async for event in told][-1]
    assert isinstance(done, Done)
    return done.record


def shares(experiment: Experiment, count: int = 4000) -> Counter[str]:
    return Counter(experiment.variant_for(Labels(f"talk-{n}"), "x").name for n in range(count))


def test_shares_are_as_the_weights_say() -> None:
    weighted = replace(TONE, variants=(replace(PLAIN, weight=3), FREE, Variant("none", 0)))
    found = shares(weighted)
    assert found["none"] == 0
    assert 0.72 < found["plain"] / 4000 < 0.78


def test_another_experiment_mixes_anew() -> None:
    other = replace(TONE, experiment_id="pace")
    both = Counter(
        (
            TONE.variant_for(Labels(f"talk-{n}"), "").name,
            other.variant_for(Labels(f"talk-{n}"), "").name,
        )
        for n in range(4000)
    )
    assert min(both.values()) > 850  # of 1000 each


def test_a_conversation_or_a_person_keeps_its_variant() -> None:
    by_user = replace(TONE, sticky_by=StickyBy.END_USER)
    for n in range(50):
        talks = {TONE.variant_for(Labels(f"t{n}", f"u{m}"), str(m)).name for m in range(9)}
        people = {by_user.variant_for(Labels(f"t{m}", f"u{n}"), str(m)).name for m in range(9)}
        assert len(talks) == len(people) == 1
    alone = {by_user.variant_for(Labels("talk"), str(m)).name for m in range(9)}
    assert len(alone) == 1  # the other reference stands in
    chance = {TONE.variant_for(Labels(), str(m)).name for m in range(40)}
    assert chance == {"plain", "free"}


async def test_the_assignment_is_in_every_answer(world: World) -> None:
    await world.stories.experiments.start("acme", TONE)
    seen = set()
    for n in range(12):
        record = await ask(world, conversation_id=f"talk-{n}")
        assert record.experiment == "tone"
        expected = {"plain": ("answer", None), "free": ("answer-free", 0.5)}[record.variant]
        temperature = record.parameters.temperature if record.variant == "free" else None
        assert (record.prompt_name, temperature) == expected
        seen.add(record.variant)
        assert (await ask(world, conversation_id=f"talk-{n}")).variant == record.variant
    assert seen == {"plain", "free"}


async def test_a_request_that_chooses_itself_is_no_part_of_it(world: World) -> None:
    await world.stories.experiments.start("acme", TONE)
    record = await ask(world, replace(COST, prompt_name="answer"))
    assert (record.experiment, record.variant) == ("", "")
    record = await ask(world, replace(COST, parameters=Parameters(max_tokens=7)))
    assert (record.experiment, record.parameters.max_tokens) == ("tone", 7)


async def test_an_experiment_ends_when_it_is_stopped(world: World) -> None:
    await world.stories.experiments.start("acme", TONE)
    await world.stories.experiments.stop("acme", "tone", "ada")
    assert (await ask(world)).experiment == ""


async def test_an_experiment_is_its_tenants_own(world: World) -> None:
    await world.stories.experiments.start("globex", TONE)
    assert (await ask(world)).experiment == ""


async def test_plain_chat_can_compare_models(world: World) -> None:
    world.model.models |= {"other"}
    variants = (Variant("own", 0), Variant("other", 1, model="other"))
    await world.stories.experiments.start("acme", Experiment("chat", "generate", variants))
    hello = Conversation((Message("user", "Say hello."),))
    async with aclosing(world.texts.generate(hello, CALLER)) as told:
        events = [event async for event in told]
    assert isinstance(events[-1], Done)
    assert (events[-1].record.model, events[-1].record.variant) == ("other", "other")


@pytest.mark.parametrize(
    ("experiment", "field"),
    [
        (replace(TONE, experiment_id="A b"), "experiment_id"),
        (replace(TONE, variants=(PLAIN,)), "variants"),
        (replace(TONE, variants=(PLAIN, PLAIN)), "variants"),
        (replace(TONE, variants=(replace(PLAIN, weight=0), replace(FREE, weight=0))), "variants"),
        (replace(TONE, variants=(PLAIN, replace(FREE, weight=-1))), "variants"),
        (replace(TONE, workload="generate"), "variants[1].prompt_name"),
        (replace(TONE, variants=(PLAIN, Variant("x", 1, "condense"))), "variants[1].prompt_name"),
        (
            replace(TONE, variants=(PLAIN, replace(FREE, parameters=Parameters(top_p=2)))),
            "variants[1].parameters.top_p",
        ),
    ],
)
async def test_an_experiment_that_breaks_a_rule_is_refused(
    world: World, experiment: Experiment, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await world.stories.experiments.start("acme", experiment)
    assert list(refused.value.violations) == [field]


async def test_what_a_variant_names_has_to_be_there(world: World) -> None:
    for changed in (
        replace(TONE, variants=(PLAIN, Variant("x", 1, "unknown"))),
        replace(TONE, variants=(PLAIN, Variant("x", 1, "answer", "candidate"))),
        replace(TONE, variants=(PLAIN, Variant("x", 1, model="unknown"))),
        replace(TONE, workload="unknown"),
    ):
        with pytest.raises(NotFound):
            await world.stories.experiments.start("acme", changed)


async def test_what_an_evaluation_asks_is_no_part_of_an_experiment(world: World) -> None:
    await world.stories.experiments.start("acme", TONE)
    asked = replace(COST, labels=Labels(metadata={"gyre.source": "evaluation"}))
    async with aclosing(world.answers.answer(asked, CALLER)) as told:
        done = [event async for event in told][-1]
    assert isinstance(done, Done)
    assert (done.record.experiment, done.record.variant) == ("", "")
    assert (await ask(world)).experiment == "tone"
