"""An earlier answer once more, from what its record holds."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import replace

import pytest
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import FinishReason
from gyre_inference.domain.grounds import arguments_in, grounds_of
from gyre_inference.domain.record import AnswerRecord
from gyre_inference.domain.requests import Question
from gyre_inference.use_cases import Done
from inference_world import CALLER, World

COST = Question("How many cents does every megabyte cost outside?")


@pytest.fixture
async def recorded(world: World) -> AnswerRecord:
    return await answered(world, COST)


async def answered(world: World, question: Question) -> AnswerRecord:
    async with aclosing(world.answers.answer(question, CALLER)) as told:
        done = [event async for event in told][-1]
    assert isinstance(done, Done)
    return done.record


async def test_nothing_changed_gives_the_same_answer_and_nothing_is_searched(
    world: World, recorded: AnswerRecord
) -> None:
    world.search.collections.clear()
    again = await answered(world, replace(COST, arguments=recorded.prompt_arguments))
    assert (again.completion, again.messages) == (recorded.completion, recorded.messages)
    assert again.prompt_arguments == recorded.prompt_arguments
    assert [one.sentence.line for one in again.citations] == [
        one.sentence.line for one in recorded.citations
    ]
    assert [step.kind for step in again.steps] == ["render", "generate"]


async def test_it_is_told_apart_from_a_first_answer(world: World, recorded: AnswerRecord) -> None:
    again = await answered(world, replace(COST, arguments=recorded.prompt_arguments))
    assert (recorded.workload, recorded.chain) == ("answer", "answer")
    assert (again.workload, again.chain, again.experiment) == ("replay", "replay", "")


async def test_another_model_is_asked_with_the_same_sentences(
    world: World, recorded: AnswerRecord
) -> None:
    world.model.models |= {"other"}
    asked = replace(COST, arguments=recorded.prompt_arguments, model="other")
    again = await answered(world, asked)
    assert (again.model, again.messages) == ("other", recorded.messages)


async def test_what_the_model_was_given_counts_before_the_question(
    world: World, recorded: AnswerRecord
) -> None:
    asked = Question("And outside?", arguments=recorded.prompt_arguments)
    again = await answered(world, asked)
    assert again.question == "And outside?"
    assert again.messages == recorded.messages


@pytest.mark.parametrize(
    "arguments",
    [
        {"question": '"What?"'},
        {"sentences": "[]"},
        {"sentences": "no JSON"},
        {"sentences": '[{"text": " "}]'},
        {"sentences": json.dumps([{"text": "x"}] * 65)},
        {"sentences": json.dumps([{"text": "x" * 200_000}])},
    ],
)
async def test_what_no_record_holds_is_refused(world: World, arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await answered(world, replace(COST, arguments=arguments))


async def test_sentences_come_back_as_they_were_told(recorded: AnswerRecord) -> None:
    told = arguments_in(recorded.prompt_arguments)
    assert grounds_of(told).arguments(str(told["question"])) == told


async def test_a_model_that_refuses_what_was_answered_is_believed(
    world: World, recorded: AnswerRecord
) -> None:
    world.model.reply = lambda request: request.choices[-1]
    again = await answered(world, replace(COST, arguments=recorded.prompt_arguments))
    assert again.finish_reason is FinishReason.REFUSED
    assert again.citations == ()
