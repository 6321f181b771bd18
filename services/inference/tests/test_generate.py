from __future__ import annotations

from contextlib import aclosing

import pytest
from gyre_inference.domain.faults import InvalidRequest, NotFound, Unavailable
from gyre_inference.domain.generation import FinishReason, Message, Parameters
from gyre_inference.domain.requests import Conversation
from gyre_inference.use_cases import Done, Event
from inference_world import CALLER, World

HELLO = Conversation((Message("system", "Be brief."), Message("user", "Say hello to all.")))


async def events(world: World, conversation: Conversation) -> list[Event]:
    async with aclosing(world.texts.generate(conversation, CALLER)) as told:
        return [event async for event in told]


async def test_a_conversation_is_continued_and_recorded(world: World) -> None:
    done = (await events(world, HELLO))[-1]
    assert isinstance(done, Done)
    assert done.record.completion == "Say hello to all."
    assert done.record.workload == "generate"
    assert world.model.asked[0].messages == HELLO.messages
    assert world.records.answers[0].messages == HELLO.messages
    assert world.records.answers[0].prompt_name == ""


async def test_the_longest_text_is_the_requests_or_the_settings(world: World) -> None:
    short = Conversation(HELLO.messages, Parameters(max_tokens=2, seed=7))
    done = (await events(world, short))[-1]
    assert isinstance(done, Done)
    assert done.record.completion == "Say hello "
    assert done.record.finish_reason is FinishReason.LENGTH
    await events(world, HELLO)
    assert [request.parameters.max_tokens for request in world.model.asked] == [2, 512]


async def test_brackets_in_plain_chat_are_left_alone(world: World) -> None:
    world.model.reply = lambda _: "a [9] b"
    done = (await events(world, HELLO))[-1]
    assert isinstance(done, Done)
    assert done.record.completion == "a [9] b"


async def test_only_models_that_are_offered_can_be_asked(world: World) -> None:
    with pytest.raises(NotFound):
        await events(world, Conversation(HELLO.messages, model="all-minilm-l6-v2"))
    with pytest.raises(Unavailable):
        await events(world, Conversation(HELLO.messages, model="other"))
    assert world.records.failures[0][1].status == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ((), "messages"),
        ((Message("assistant", "x"),), "messages"),
        ((Message("root", "x"), Message("user", "x")), "messages[0].role"),
        ((Message("user", " "),), "messages[0].content"),
        ((Message("user", "x" * 200_000),), "messages"),
    ],
)
async def test_a_conversation_that_breaks_a_rule_is_refused(
    world: World, messages: tuple[Message, ...], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await events(world, Conversation(messages))
    assert field in refused.value.violations
