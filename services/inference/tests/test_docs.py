"""The YAML of the documentation is registered and run."""

from __future__ import annotations

import re
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from gyre.inference.v1 import experiment_pb2, prompt_pb2
from gyre_inference import wire
from gyre_inference.domain.chain_runs import ChainRequest
from gyre_inference.use_cases.run_chain import RunDone
from inference_world import CALLER, World

DOCS = Path(__file__).parents[3] / "docs"


def blocks(page: str) -> dict[str, str]:
    """YAML by the name in its first line."""
    found = re.findall(r"```yaml\n(\w+: (\S+)\n.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return {name: text for text, name in found}


async def run(world: World, name: str, **inputs: Any) -> RunDone:
    registered, draft = world.stories.chains.draft(blocks("chains.md")[name], "", "ada", ())
    await world.stories.chains.versions.register("acme", registered, draft)
    async with aclosing(world.chains.run(ChainRequest(name, inputs=inputs), CALLER)) as told:
        events = [event async for event in told]
    assert isinstance(events[-1], RunDone)
    return events[-1]


async def test_the_prompt_of_the_page_is_rendered_with_the_nearest_example(world: World) -> None:
    data = yaml.safe_load(blocks("prompts.md")["refund"])
    name, message, labels = data.pop("name"), data.pop("message"), tuple(data.pop("labels"))
    content = wire.prompt_content_of(ParseDict(data, prompt_pb2.PromptContent()))
    draft = world.stories.prompts.draft(content, message, "ada", labels)
    await world.stories.prompts.versions.register("acme", name, draft)
    arguments = {"order": {"number": 7, "days": 3}, "request": "Is my [7] phone broken?"}
    _, messages = await world.stories.prompts.render("acme", name, "candidate", arguments)
    assert [one.role for one in messages] == ["system", "user", "assistant", "user"]
    assert messages[1].content == "My phone arrived broken."
    assert messages[-1].content.endswith("Request: Is my (7) phone broken?")


@pytest.mark.parametrize("name", ["tone-march", "tone-april"])
async def test_the_experiments_of_the_page_start(world: World, name: str) -> None:
    data = yaml.safe_load(blocks("prompts.md")[name])
    wanted = wire.experiment_of(ParseDict(data, experiment_pb2.Experiment()), "ada")
    started = await world.stories.experiments.start("acme", wanted)
    assert started.start is not None
    assert wire.experiment_of(wire.experiment(started), "ada").content == wanted.content


async def test_the_chain_of_the_page_answers_or_opens_a_ticket(world: World) -> None:
    world.tools.reply = lambda call: {"number": 17}
    known = await run(world, "support", question="How many cents does a megabyte cost outside?")
    assert known.text == "[1] Outside of it every megabyte costs 9 cents."
    assert known.citations
    unknown = await run(world, "support", question="Which planet has the most moons?")
    assert unknown.text == "Say that ticket 17 was opened."
    assert world.tools.calls[0].body == {"text": "Which planet has the most moons?"}


async def test_the_map_of_the_page_joins_its_parts(world: World) -> None:
    done = await run(world, "summaries", question="roaming")
    assert done.text.startswith("Join these: In one sentence: Roaming in")
    assert len(world.model.asked) == 4
