"""What a release brings along is registered at every start, and never changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from gyre_inference.adapters.built_in import PROMPTS, BuiltInError, built_in_prompts
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.prompts import Order, Style
from gyre_inference.domain.registry import Key, Kind
from inference_world import World, start

GOOD = (PROMPTS / "answer" / "1.yaml").read_text()


def folder(tmp_path: Path, text: str, version: int = 1) -> Path:
    (tmp_path / "answer").mkdir(exist_ok=True)
    (tmp_path / "answer" / f"{version}.yaml").write_text(text)
    return tmp_path


def numbered(version: int) -> str:
    return GOOD.replace("version: 1\n", f"version: {version}\n").replace(
        "max_tokens: 160", f"max_tokens: {160 + version}"
    )


async def begin(world: World, files: Path) -> None:
    await world.stories.begin(built_in_prompts(files, world.stories.prompts))


async def test_the_built_in_prompts_are_in_force_for_everybody(world: World) -> None:
    for tenant in ("acme", "globex"):
        quoting = (await world.stories.in_force.prompt(tenant, "answer")).content.grounding
        free = (await world.stories.in_force.prompt(tenant, "answer-free")).content.grounding
        assert quoting is not None
        assert free is not None
        assert (quoting.style, quoting.order, free.style) == (Style.QUOTE, Order.BEST, Style.FREE)


async def test_the_newest_version_is_in_force_and_older_ones_stay(tmp_path: Path) -> None:
    world = World()
    for version in (1, 2, 10):
        folder(tmp_path, numbered(version), version)
    await begin(world, tmp_path)
    in_force = world.stories.in_force
    assert (await in_force.prompt("acme", "answer")).version == "10"
    older = await in_force.prompt("acme", "answer", "2")
    assert older.content.parameters.max_tokens == 162
    with pytest.raises(NotFound):
        await in_force.prompt("acme", "answer", "99")


async def test_an_older_release_beside_a_newer_one_takes_nothing_back(tmp_path: Path) -> None:
    world = World()
    folder(tmp_path, numbered(1), 1)
    old = built_in_prompts(tmp_path, world.stories.prompts)
    await begin(world, folder(tmp_path, numbered(2), 2))
    await world.new_process().begin(old)
    assert (await world.stories.in_force.prompt("acme", "answer")).version == "2"


async def test_what_is_brought_along_again_changes_nothing(world: World) -> None:
    before = world.registry.newest
    await start(world.new_process())
    assert world.registry.newest == before
    assert world.registry.said == []
    assert len(world.registry.moved) == len({key for key, _ in world.registry.moved})


async def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    world = World()
    await begin(world, folder(tmp_path, GOOD))
    changed = folder(tmp_path, GOOD.replace("max_tokens: 160", "max_tokens: 161"))
    with pytest.raises(Conflict, match="answer/1 was registered with another content"):
        await begin(world, changed)
    kept = await world.registry.version(Key("acme", Kind.PROMPT, "answer"), 1)
    assert '"max_tokens": 160' in kept.body


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("arguments: [question, sentences]", "arguments: [question]", "arguments"),
        ("name: answer", "name: other", "name and version"),
        ("style: quote", "style: shout", "style"),
        ("{% endfor %}", "", "endfor"),
        ("order: best", "order: best\n  colour: red", "colour"),
    ],
)
def test_a_bad_prompt_file_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    prompts = World().stories.prompts
    with pytest.raises(BuiltInError, match=rf"(?s)1\.yaml.*{why}"):
        built_in_prompts(folder(tmp_path, GOOD.replace(old, new)), prompts)
