"""Chains: each kind of step, what is recorded, budgets, and going on after an interruption."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from gyre_inference.adapters.memory import first_choice
from gyre_inference.domain.chain_runs import ChainRequest, RunState
from gyre_inference.domain.experiments import Experiment, Variant
from gyre_inference.domain.faults import (
    BudgetSpent,
    Conflict,
    Ended,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from gyre_inference.domain.generation import FinishReason, Message, ModelRequest
from gyre_inference.domain.record import Labels
from gyre_inference.ports import HttpCall
from gyre_inference.use_cases.chains.events import StepBegan, StepEnded, StepText
from gyre_inference.use_cases.run_chain import RunDone, RunEvent, RunStarted
from inference_world import CALLER, World, until

RUN = "0190b5a6-0000-7000-8000-000000000001"
COST = "How many cents does every megabyte cost outside?"
ECHO = """
name: echo
inputs: {question: }
steps:
  - name: said
    generate: {messages: [{role: user, content: "{{ question }}"}]}
"""


async def register(world: World, definition: str) -> str:
    name, draft = world.stories.chains.draft(definition, "why", "ada", ())
    await world.stories.chains.versions.register("acme", name, draft)
    return name


async def run(
    world: World, definition: str, request: ChainRequest | None = None, **inputs: Any
) -> list[RunEvent]:
    name = await register(world, definition)
    asked = replace(request or ChainRequest(name), chain=name, inputs=inputs)
    return await told(world, asked)


async def told(world: World, request: ChainRequest) -> list[RunEvent]:
    async with aclosing(world.chains.run(request, CALLER)) as events:
        return [event async for event in events]


def done(events: list[RunEvent]) -> RunDone:
    assert isinstance(events[-1], RunDone)
    return events[-1]


def ended(events: list[RunEvent]) -> dict[str, Any]:
    return {e.record.step_id: e.record.output for e in events if isinstance(e, StepEnded)}


def step(kind: str, arguments: str, inputs: str = "{question: }") -> str:
    return f"name: one\ninputs: {inputs}\nsteps:\n  - name: it\n    {kind}: {arguments}\n"


async def test_a_run_is_started_each_step_is_told_and_it_is_done(world: World) -> None:
    events = await run(world, ECHO, question="Say hello to all.")
    kinds = [type(event) for event in events]
    assert kinds[:2] == [RunStarted, StepBegan]
    assert kinds[-2:] == [StepEnded, RunDone]
    assert set(kinds[2:-2]) == {StepText}
    assert done(events).text == "Say hello to all."
    assert done(events).finish_reason is FinishReason.STOP


async def test_every_step_is_recorded_with_what_it_was_given_and_made(world: World) -> None:
    events = await run(world, ECHO, question="Say hello to all.")
    assert isinstance(events[0], RunStarted)
    kept = await world.chains.get("acme", events[0].header.chain_run_id)
    (only,) = kept.steps
    assert (only.step_id, only.kind, only.status) == ("said", "generate", "ok")
    assert only.input["messages"] == [{"role": "user", "content": "Say hello to all."}]
    assert only.output["text"] == "Say hello to all."
    assert only.usage.output_tokens == 4
    assert only.seconds >= 0
    assert kept.ending is not None
    assert kept.ending.state is RunState.DONE
    (record,) = world.runs.said
    assert (record.workload, record.chain, record.chain_version) == ("echo", "echo", "1")
    assert record.chain_run_id == kept.header.chain_run_id
    assert record.answer_id == kept.header.answer_id
    assert record.question == "Say hello to all."
    assert record.usage == only.usage
    (in_record,) = record.steps
    assert '"Say hello to all."' in in_record.input
    assert in_record.usage == only.usage


async def test_answer_is_a_chain_like_any_other(world: World) -> None:
    events = await told(world, ChainRequest("answer", inputs={"question": COST}))
    finished = done(events)
    assert finished.text == "[1] Outside of it every megabyte costs 9 cents."
    assert [cited.sentence.passage.document_id for cited in finished.citations] == ["roaming"]
    assert list(ended(events)) == ["found", "grounds", "supported", "answer"]
    (record,) = world.runs.said
    assert (record.prompt_name, record.prompt_version) == ("answer", "1")
    assert record.passages
    assert record.guard_verdicts["supported"] == "passed"


async def test_a_tenants_own_chain_takes_the_place_of_answer(world: World) -> None:
    own = ECHO.replace("name: echo", "name: answer")
    name, draft = world.stories.chains.draft(own, "", "ada", ("production",))
    await world.stories.chains.versions.register("acme", name, draft)
    from gyre_inference.domain.requests import Question
    from test_answer import events as answer_events

    answered = (await answer_events(world, Question("Say hello.")))[-1].record  # type: ignore[union-attr]
    assert (answered.completion, answered.chain_version) == ("Say hello.", "2")


async def test_a_question_inside_of_a_conversation_is_made_to_stand_alone(world: World) -> None:
    def reply(request: ModelRequest) -> str:
        return request.choices[0] if request.choices else COST

    world.model.reply = reply
    talk = [
        {"role": "user", "content": "Does roaming cost?"},
        {"role": "assistant", "content": "Yes"},
    ]
    request = ChainRequest(
        "conversation", inputs={"question": "And outside?", "conversation": talk}
    )
    events = await told(world, request)
    assert ended(events)["standalone"]["text"] == COST
    assert "And outside?" in world.model.asked[0].messages[-1].content
    assert done(events).text == "[1] Outside of it every megabyte costs 9 cents."
    assert ended(events)["checked"]["supported"] is True


async def test_a_first_question_is_condensed_without_the_model(world: World) -> None:
    events = await told(world, ChainRequest("conversation", inputs={"question": COST}))
    assert ended(events)["standalone"]["text"] == COST
    assert len(world.model.asked) == 1


async def test_a_guard_ends_a_run_with_what_is_said_instead(world: World) -> None:
    chain = """
name: guarded
inputs: {question: }
steps:
  - name: polite
    guard: {that: "{{ 'please' in question }}", otherwise: "Say please."}
  - name: said
    generate: {messages: [{role: user, content: "{{ question }}"}]}
"""
    stopped = await run(world, chain, question="Help me.")
    assert (done(stopped).text, done(stopped).finish_reason) == (
        "Say please.",
        FinishReason.REFUSED,
    )
    assert list(ended(stopped)) == ["polite"]
    assert world.model.asked == []
    assert done(await run(world, chain, question="please help")).text == "please help"


async def test_verify_names_what_the_sources_do_not_say(world: World) -> None:
    chain = """
name: verified
inputs: {question: , text: }
steps:
  - name: found
    retrieve: {query: "{{ question }}"}
  - name: checked
    verify: {text: "{{ text }}", against: "{{ found }}"}
"""
    text = "Every megabyte costs 9 cents outside of it [1]. The moon is made of cheese."
    checked = ended(await run(world, chain, question=COST, text=text))["checked"]
    assert checked == {
        "supported": False,
        "share": 0.5,
        "unsupported": ["The moon is made of cheese."],
    }


async def test_embed_makes_vectors(world: World) -> None:
    made = ended(await run(world, step("embed", '{texts: ["{{ question }}", "b"]}'), question="a"))
    assert len(made["it"]["vectors"]) == 2
    assert made["it"]["dimension"] == len(made["it"]["vectors"][0])


async def test_an_http_step_carries_a_key_that_a_repeat_has_too(world: World) -> None:
    chain = step(
        "http", '{url: "https://tools.example/x", body: {q: "{{ question }}"}, seconds: 3}'
    )
    events = await run(world, chain, ChainRequest("", chain_run_id=RUN), question="a")
    assert done(events).output == {"status": 200, "body": {"echo": {"q": "a"}}}
    (call,) = world.tools.calls
    assert call == HttpCall(
        "POST", "https://tools.example/x", {}, {"q": "a"}, call.seconds, f"{RUN}/it"
    )
    assert call.seconds <= 3


BRANCHES = """
name: branches
inputs: {question: }
steps:
  - name: route
    branch:
      when: "{{ 'hello' in question }}"
      then:
        - name: greeted
          generate: {messages: [{role: user, content: "greeting"}]}
      else:
        - name: searched
          retrieve: {query: "{{ question }}"}
        - name: told
          generate: {messages: [{role: user, content: "{{ searched.passages | length }} found"}]}
"""


async def test_a_branch_takes_one_arm_and_makes_what_it_makes(world: World) -> None:
    events = await run(world, BRANCHES, question="hello")
    assert list(ended(events)) == ["route.greeted", "route"]
    assert done(events).text == "greeting"
    shown = [event for event in events if isinstance(event, StepText)]
    assert all(event.is_output for event in shown)
    events = await run(world, BRANCHES, question="roaming")
    assert list(ended(events)) == ["route.searched", "route.told", "route"]
    assert done(events).text == "3 found"
    parents = {
        e.record.step_id: e.record.parent_step_id for e in events if isinstance(e, StepEnded)
    }
    assert parents == {"route.searched": "route", "route.told": "route", "route": ""}


PARTS = """
name: parts
inputs: {parts: }
steps:
  - name: each
    map:
      over: "{{ parts }}"
      as: part
      at_once: 2
      at_most: 4
      steps:
        - name: said
          generate: {messages: [{role: user, content: "part {{ part }}"}]}
  - name: all
    generate: {messages: [{role: user, content: "{{ each | join(', ') }}"}]}
"""


async def test_a_map_does_the_same_for_each_part_and_keeps_their_order(world: World) -> None:
    world.model.pause = 0.002
    events = await run(world, PARTS, parts=["a", "b", "c"])
    assert done(events).text == "part a, part b, part c"
    assert set(ended(events)) == {f"each[{n}].said" for n in range(3)} | {"each", "all"}
    assert done(events).usage.output_tokens == 3 * 2 + 6


async def test_a_map_has_a_limit(world: World) -> None:
    with pytest.raises(InvalidRequest, match="has 5 parts, at most 4"):
        await run(world, PARTS, parts=list("abcde"))


async def test_a_part_that_fails_fails_the_map_and_ends_its_neighbours(world: World) -> None:
    world.model.pause = 0.05
    world.model.fault, world.model.fault_at = Unavailable("gone"), 1
    with pytest.raises(Unavailable):
        await run(world, PARTS, parts=["a", "b"])
    assert len([task for task in asyncio.all_tasks() if "one" in str(task.get_coro())]) == 0


async def test_a_budget_of_tokens_ends_a_run(world: World) -> None:
    chain = ECHO.replace("inputs:", "budget: {tokens: 8}\ninputs:") + (
        '  - name: again\n    generate: {messages: [{role: user, content: "{{ said }}"}]}\n'
    )
    with pytest.raises(BudgetSpent, match="8 tokens"):
        await run(world, chain, ChainRequest("", chain_run_id=RUN), question="one two three four")
    kept = await world.chains.get("acme", RUN)
    assert kept.ending is not None
    assert (kept.ending.state, kept.ending.status) == (RunState.FAILED, "RESOURCE_EXHAUSTED")
    assert [one.step_id for one in kept.steps] == ["said"]
    (failed, failure) = world.records.failures[0]
    assert (failed.chain, failure.status) == ("echo", "RESOURCE_EXHAUSTED")
    with pytest.raises(Ended, match="8 tokens"):
        await told(world, ChainRequest("echo", inputs={"question": "x"}, chain_run_id=RUN))


async def test_a_model_is_told_how_many_tokens_are_left(world: World) -> None:
    await run(world, ECHO, ChainRequest("", tokens=3), question="one two three four five")
    assert world.model.asked[0].parameters.max_tokens == 3
    assert world.runs.said[0].finish_reason is FinishReason.LENGTH


async def test_a_budget_of_time_ends_a_run(world: World) -> None:
    world.model.pause = 10
    with pytest.raises(BudgetSpent, match=r"budget of 0\.05 s is spent"):
        await run(world, ECHO, ChainRequest("", seconds=0.05), question="hello")
    world.tools.pause = 10
    chain = step("http", "{url: 'https://tools.example/x'}")
    with pytest.raises(BudgetSpent, match=r"budget of 0\.05 s is spent"):
        await run(world, chain, ChainRequest("", seconds=0.05), question="hello")


async def test_a_caller_may_not_raise_a_budget(world: World) -> None:
    chain = ECHO.replace("inputs:", "budget: {tokens: 3}\ninputs:")
    await run(world, chain, ChainRequest("", tokens=1000), question="one two three four five")
    assert world.model.asked[0].parameters.max_tokens == 3


TWO = """
name: two
inputs: {question: }
steps:
  - name: found
    retrieve: {query: "{{ question }}"}
  - name: first
    generate: {messages: [{role: user, content: "first"}]}
  - name: second
    generate:
      messages: [{role: user, content: "{{ first }} then second of {{ found.passages | length }}"}]
"""


async def test_an_interrupted_run_goes_on_from_its_last_recorded_step(world: World) -> None:
    await register(world, TWO)
    request = ChainRequest("two", inputs={"question": "x"}, chain_run_id=RUN)

    def dies_at_the_second(request: ModelRequest) -> str:
        if "then second" in request.messages[-1].content:
            raise Unavailable("gone")
        return first_choice(request)

    world.model.reply = dies_at_the_second
    with pytest.raises(Unavailable):
        await told(world, request)
    world.model.reply = first_choice
    before = len(world.model.asked)
    again = await told(world, request)
    assert len(world.model.asked) == before + 1
    resumed = {e.record.step_id: e.record.resumed for e in again if isinstance(e, StepEnded)}
    assert resumed == {"found": True, "first": True, "second": False}
    assert done(again).text == "first then second of 3"
    (record,) = world.runs.said
    assert [one.step_id for one in record.steps if one.kind != "render"] == [
        "found",
        "first",
        "second",
    ]
    assert len(record.passages) == 3
    assert record.usage == done(again).usage
    started = again[0]
    assert isinstance(started, RunStarted)
    assert started.header.answer_id == record.answer_id


async def test_a_run_that_is_done_tells_its_end_again_and_does_nothing(world: World) -> None:
    request = ChainRequest("", chain_run_id=RUN)
    first = done(await run(world, ECHO, request, question="Say hello."))
    again = await told(world, ChainRequest("echo", inputs={"question": "x"}, chain_run_id=RUN))
    assert (done(again).text, done(again).usage) == (first.text, first.usage)
    assert len(world.model.asked) == 1
    assert len(world.runs.said) == 1


async def test_a_caller_that_leaves_stops_the_model_and_may_go_on_at_once(world: World) -> None:
    await register(world, ECHO)
    world.model.pause = 0.01
    request = ChainRequest("echo", inputs={"question": "Say hello to all."}, chain_run_id=RUN)
    events = world.chains.run(request, CALLER)
    async for event in events:
        if isinstance(event, StepText):
            break
    await events.aclose()
    assert world.model.stopped
    ((_, failure),) = world.records.failures
    assert failure.status == "CANCELLED"
    assert done(await told(world, request)).text == "Say hello to all."


async def test_one_run_goes_on_in_one_place(world: World) -> None:
    await register(world, ECHO)
    world.model.pause = 0.05
    request = ChainRequest("echo", inputs={"question": "Say hello to all."}, chain_run_id=RUN)
    running = asyncio.create_task(told(world, request))
    await until(lambda: world.model.asked)
    with pytest.raises(Conflict, match="goes on elsewhere"):
        await told(world, request)
    assert done(await running).text == "Say hello to all."


async def test_a_run_goes_on_with_the_version_it_was_begun_with(world: World) -> None:
    await register(world, ECHO)
    request = ChainRequest("echo", inputs={"question": "Say hello."}, chain_run_id=RUN)
    world.model.fault = Unavailable("gone")
    with pytest.raises(Unavailable):
        await told(world, request)
    world.model.fault = None
    other = ECHO.replace("{{ question }}", "another version of {{ question }}")
    name, draft = world.stories.chains.draft(other, "", "ada", ("production",))
    await world.stories.chains.versions.register("acme", name, draft)
    assert done(await told(world, request)).text == "Say hello."
    fresh = replace(request, chain_run_id="")
    assert done(await told(world, fresh)).text == "another version of Say hello."


async def test_a_chain_can_be_part_of_an_experiment(world: World) -> None:
    await register(world, ECHO)
    world.model.models |= {"other"}
    variants = (Variant("own", 0), Variant("other", 1, model="other"))
    await world.stories.experiments.start("acme", Experiment("models", "echo", variants))
    request = ChainRequest("echo", inputs={"question": "hello"}, labels=Labels("talk"))
    record = done(await told(world, request)).record
    assert record is not None
    assert (record.experiment, record.variant, record.model) == ("models", "other", "other")


async def test_what_a_prompt_step_is_given_reaches_its_messages(world: World) -> None:
    chain = step(
        "generate", "{prompt: condense, arguments: {conversation: [], question: '{{ question }}'}}"
    )
    await run(world, chain, question="And abroad?")
    assert [one.role for one in world.model.asked[0].messages] == ["system", "user"]
    assert "And abroad?" in world.model.asked[0].messages[-1].content
    assert isinstance(world.model.asked[0].messages[0], Message)


@pytest.mark.parametrize(
    ("definition", "where"),
    [
        ("[]", "definition"),
        ("name: x\nsteps: []", "steps"),
        ("name: x\nsteps: [{name: a, fly: {}}]", "steps[0]"),
        ("name: x\nsteps: [{name: a, retrieve: {query: q, speed: 1}}]", "steps[0].retrieve.speed"),
        ("name: x\nsteps: [{name: a, retrieve: {}}]", "steps[0].retrieve.query"),
        ("name: x\nsteps: [{name: a b, retrieve: {query: q}}]", "steps[0].name"),
        ("name: x\nsteps: [{name: a, retrieve: {query: '{{ b }}'}}]", "steps[0].retrieve.query"),
        ("name: x\nsteps: [{name: a, retrieve: {query: '{{'}}]", "steps[0].retrieve.query"),
        ("name: x\nbudget: {tokens: -1}\nsteps: [{name: a, embed: {texts: b}}]", "budget.tokens"),
        ("name: x\noutput: b\nsteps: [{name: a, embed: {texts: b}}]", "output"),
        ("name: x\ncolour: b\nsteps: [{name: a, embed: {texts: b}}]", "definition.colour"),
        (
            "name: x\nsteps: [{name: a, embed: {texts: b}}, {name: a, embed: {texts: b}}]",
            "steps[1].name",
        ),
        (
            "name: x\ninputs: {p: }\nsteps: [{name: a, generate: {prompt: '{{ p }}'}}]",
            "steps[0].generate.prompt",
        ),
        (
            "name: x\nsteps: [{name: a, generate: {parameters: {temperature: 9}}}]",
            "steps[0].generate.parameters.temperature",
        ),
        (
            "name: x\nsteps: [{name: a, generate: {parameters: {heat: 9}}}]",
            "steps[0].generate.parameters.heat",
        ),
    ],
)
def test_a_definition_that_breaks_a_rule_is_refused_by_its_place(
    definition: str, where: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        World().stories.chains.draft(definition, "", "ada", ())
    assert list(refused.value.violations) == [where]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ChainRequest("A b"), "chain"),
        (ChainRequest("echo", chain_run_id="mine"), "chain_run_id"),
        (ChainRequest("echo", inputs={}), "inputs.question"),
        (ChainRequest("echo", inputs={"question": "q", "more": 1}), "inputs.more"),
        (ChainRequest("echo", seconds=0), "time_budget"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused(
    world: World, request_: ChainRequest, field: str
) -> None:
    await register(world, ECHO)
    with pytest.raises(InvalidRequest) as refused:
        await told(world, request_)
    assert list(refused.value.violations) == [field]
    assert world.runs.runs == {}


async def test_what_a_chain_names_has_to_be_there_before_it_begins(world: World) -> None:
    for arguments in ("{prompt: unknown}", "{messages: [], model: unknown}"):
        with pytest.raises(NotFound, match="unknown"):
            await run(world, step("generate", arguments), question="x")
    assert world.model.asked == []
    with pytest.raises(NotFound):
        await told(world, ChainRequest("unknown"))
