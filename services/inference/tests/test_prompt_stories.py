"""Prompts: versions that never change, labels that move, and what is in force at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from gyre_inference.domain.faults import Conflict, InvalidRequest, NotFound, Unavailable
from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.prompt_text import content_of, plain, readable, stored
from gyre_inference.domain.prompts import Choose, Example, Examples, PromptContent
from gyre_inference.use_cases.shelving import Promotion
from gyre_inference.use_cases.versions import Outcome
from inference_world import World, until

GREETING = PromptContent(user="Greet {{ name }}.", system="Be kind.", arguments=frozenset({"name"}))
WARMER = replace(GREETING, system="Be warm.")


async def register(
    world: World,
    content: PromptContent = GREETING,
    *labels: str,
    name: str = "greeting",
    tenant: str = "acme",
    dry_run: bool = False,
) -> Outcome:
    draft = world.stories.prompts.draft(content, "why", "ada", labels)
    return await world.stories.prompts.versions.register(tenant, name, draft, dry_run=dry_run)


async def promote(world: World, wanted: str, label: str = "production", expected: int = 0) -> int:
    promotion = Promotion(wanted, label, "why", "ada", expected)
    shown, _ = await world.stories.prompts.versions.promote("acme", "greeting", promotion)
    return shown.version.number


async def in_force(world: World, name: str = "greeting", wanted: str = "") -> str:
    return (await world.stories.in_force.prompt("acme", name, wanted)).version


async def test_the_first_version_is_in_force_and_a_later_one_waits(world: World) -> None:
    first = await register(world)
    assert (first.registered.version.number, first.labels) == (1, ("production",))
    second = await register(world, WARMER, "candidate")
    assert (second.registered.version.number, second.labels) == (2, ("candidate",))
    assert await in_force(world) == "1"
    assert await in_force(world, wanted="candidate") == "2"
    assert "-system: Be kind." in second.difference
    assert "+system: Be warm." in second.difference


async def test_equal_content_is_the_same_version(world: World) -> None:
    await register(world)
    again = await register(world, replace(GREETING))
    assert not again.registered.is_new
    assert (again.registered.version.number, again.difference) == (1, "")
    assert len(world.registry.said) == 2  # registered and promoted, once


async def test_a_dry_run_tells_and_changes_nothing(world: World) -> None:
    await register(world)
    before = world.registry.newest
    would = await register(world, WARMER, "production", dry_run=True)
    assert (would.registered.version.number, would.registered.is_new) == (2, True)
    assert [move.to_number for move in would.registered.moves] == [2]
    assert would.difference
    assert world.registry.newest == before
    assert await in_force(world) == "1"


async def test_a_label_moves_and_moves_back(world: World) -> None:
    await register(world)
    await register(world, WARMER)
    assert await promote(world, "2") == 2
    assert await in_force(world) == "2"
    assert await promote(world, "1") == 1
    assert await in_force(world) == "1"
    _, moves = await world.stories.prompts.versions.get("acme", "greeting", "")
    assert [(move.from_number, move.to_number) for move in moves] == [(2, 1), (1, 2), (0, 1)]
    assert {move.author for move in moves} == {"ada"}


async def test_a_label_that_points_there_already_is_not_said_again(world: World) -> None:
    await register(world)
    said = len(world.registry.said)
    await promote(world, "production", "production")
    assert len(world.registry.said) == said


async def test_a_move_that_somebody_else_made_first_is_refused(world: World) -> None:
    await register(world)
    await register(world, WARMER)
    await promote(world, "2", expected=1)
    with pytest.raises(Conflict, match="points to version 2"):
        await promote(world, "1", expected=1)


async def test_what_is_not_there_is_not_found(world: World) -> None:
    await register(world)
    for wanted in ("9", "nothing"):
        with pytest.raises(NotFound):
            await promote(world, wanted)
        with pytest.raises(NotFound):
            await in_force(world, wanted=wanted)
    with pytest.raises(NotFound):
        await in_force(world, "unknown")


async def test_a_tenants_prompt_is_nobody_elses(world: World) -> None:
    await register(world)
    with pytest.raises(NotFound):
        await world.stories.in_force.prompt("globex", "greeting", "")
    with pytest.raises(NotFound):
        await world.stories.in_force.prompt("globex", "greeting", "1")


async def test_a_tenant_takes_the_place_of_the_platforms_prompt_for_itself(world: World) -> None:
    built_in = await world.stories.in_force.prompt("acme", "answer")
    own = replace(built_in.content, parameters=Parameters(max_tokens=99))
    outcome = await register(world, own, "candidate", name="answer")
    assert outcome.registered.version.number == 2
    assert await in_force(world, "answer") == "1"
    assert await in_force(world, "answer", "candidate") == "2"
    with pytest.raises(NotFound):
        await world.stories.in_force.prompt("globex", "answer", "candidate")


async def test_a_new_release_changes_nothing_for_who_has_versions_of_its_own(
    world: World,
) -> None:
    built_in = await world.stories.in_force.prompt("acme", "answer")
    await register(world, replace(built_in.content, description="ours"), name="answer")
    newer = replace(built_in.content, description="of a new release")
    async with world.registry.changing(replace(_key(world), tenant="")) as shelf:
        version = replace(await world.registry.version(_key(world), 1), number=2)
        await shelf.keep(replace(version, body=stored(newer), digest="new"))
        await shelf.pin("production", 2)
    await world.stories.in_force.refresh()
    assert await in_force(world, "answer") == "1"
    assert (await world.stories.in_force.prompt("globex", "answer")).version == "2"


def _key(world: World):  # type: ignore[no-untyped-def]
    return next(key for key, _ in world.registry.kept if key.name == "answer")


async def test_history_shows_every_version_with_its_labels(world: World) -> None:
    await register(world)
    await register(world, WARMER, "candidate", "warm")
    versions = world.stories.prompts.versions
    shown = await versions.history("acme", "greeting", 100, 10)
    assert [(one.version.number, one.labels) for one in shown] == [
        (2, ("candidate", "warm")),
        (1, ("production",)),
    ]
    assert [one.version.key.name for one in await versions.list("acme", "c", 2)] == [
        "condense",
        "greeting",
    ]
    older, newer, told = await versions.diff("acme", "greeting", "production", "candidate")
    assert (older.number, newer.number) == (1, 2)
    assert "+system: Be warm." in told


async def test_another_process_learns_by_looking_where_it_hears_nothing(world: World) -> None:
    other = world.new_process()
    await other.in_force.refresh()
    following = asyncio.create_task(other.in_force.follow())
    await register(world)
    await register(world, WARMER)
    await promote(world, "2")

    async def seen() -> str:
        with suppress(NotFound):
            return (await other.in_force.prompt("acme", "greeting")).version
        return ""

    async with asyncio.timeout(5):
        while await seen() != "2":
            other.in_force.ring()
            await asyncio.sleep(0.01)
    following.cancel()


async def test_what_was_known_stays_in_force_while_the_registry_is_away(world: World) -> None:
    await register(world)
    failures: list[Exception] = []
    world.stories.in_force._failed = failures.append
    following = asyncio.create_task(world.stories.in_force.follow())
    world.registry.fault = Unavailable("the database is away")
    world.stories.in_force.ring()
    await until(lambda: failures)
    assert await in_force(world) == "1"
    world.registry.fault = None
    following.cancel()


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (replace(GREETING, user=" ", system="{{ name }}"), "user"),
        (replace(GREETING, user="{{ name }"), "user"),
        (replace(GREETING, user="{{ other }}{{ name }}"), "arguments"),
        (replace(GREETING, user="hello"), "arguments"),
        (replace(GREETING, user="{% include name %}"), "user"),
        (replace(GREETING, user="x" * 70_000 + "{{ name }}"), "user"),
        (replace(GREETING, parameters=Parameters(temperature=3)), "parameters.temperature"),
        (replace(GREETING, examples=Examples(())), "examples.items"),
        (
            replace(GREETING, examples=Examples((Example("a", "b"),), Choose.SIMILAR, by="no")),
            "examples.by",
        ),
        (replace(GREETING, examples=Examples((Example("a", "b"),), count=2)), "examples.count"),
    ],
)
def test_a_content_that_breaks_a_rule_is_refused(content: PromptContent, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        World().stories.prompting.check(content)
    assert list(refused.value.violations) == [field]


@pytest.mark.parametrize(
    ("name", "labels", "field"),
    [("A b", (), "name"), ("12", (), "name"), ("fine", ("1",), "labels")],
)
async def test_names_and_labels_are_told_apart(
    world: World, name: str, labels: tuple[str, ...], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await register(world, GREETING, *labels, name=name)
    assert list(refused.value.violations) == [field]


async def test_a_render_needs_exactly_the_declared_arguments(world: World) -> None:
    await register(world)
    _, messages = await world.stories.prompts.render("acme", "greeting", "", {"name": "Ada"})
    assert [(one.role, one.content) for one in messages] == [
        ("system", "Be kind."),
        ("user", "Greet Ada."),
    ]
    for arguments, field in (({}, "name"), ({"name": "a", "more": 1}, "more")):
        with pytest.raises(InvalidRequest) as refused:
            await world.stories.prompts.render("acme", "greeting", "", arguments)
        assert list(refused.value.violations) == [f"arguments.{field}"]


ITEMS = tuple(
    Example(f"a question about {topic}", f"the answer on {topic}")
    for topic in ("roaming abroad", "cancelling contracts", "broken phones")
)


async def shown_examples(world: World, examples: Examples, name: str) -> list[str]:
    await register(world, replace(GREETING, examples=examples))
    _, messages = await world.stories.prompts.render("acme", "greeting", "1", {"name": name})
    assert [one.role for one in messages[1:-1]] == ["user", "assistant"] * examples.shown
    return [one.content for one in messages[2:-1:2]]


async def test_fixed_examples_are_the_first_ones(world: World) -> None:
    shown = await shown_examples(world, Examples(ITEMS, count=2), "x")
    assert shown == ["the answer on roaming abroad", "the answer on cancelling contracts"]


async def test_similar_examples_are_the_nearest_ones_the_nearest_last(world: World) -> None:
    examples = Examples(ITEMS, Choose.SIMILAR, 2, "name")
    shown = await shown_examples(world, examples, "broken phones and contracts, broken")
    assert shown == ["the answer on cancelling contracts", "the answer on broken phones"]
    made = len(world.vectors.asked)
    await world.stories.prompts.render("acme", "greeting", "1", {"name": "roaming"})
    assert world.vectors.asked[made:] == [["roaming"]]  # those of the examples are kept


async def test_without_the_embedding_service_the_first_examples_are_shown(world: World) -> None:
    world.vectors.fault = Unavailable("embedding does not answer")
    examples = Examples(ITEMS, Choose.SIMILAR, 1, "name")
    assert await shown_examples(world, examples, "broken") == ["the answer on roaming abroad"]


def test_a_content_is_read_as_it_was_stored() -> None:
    content = replace(
        GREETING,
        parameters=Parameters(max_tokens=5, temperature=0, stop=("\n",)),
        examples=Examples(ITEMS, Choose.SIMILAR, 2, "name"),
        description="é",
    )
    assert content_of(plain(content)) == content
    assert stored(content) == stored(content_of(plain(content)))
    assert "temperature: 0" in readable(content)
