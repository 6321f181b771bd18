"""Rollouts go on by evidence, back at once, and are never done twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from gyre_inference import wire
from gyre_inference.adapters.memory_rollouts import MemoryModelShelf
from gyre_inference.adapters.triton_tensors import infer_request
from gyre_inference.domain.experiments import Experiment, Variant
from gyre_inference.domain.faults import Conflict, InvalidRequest, NotFound, Overloaded, Unavailable
from gyre_inference.domain.gates import Approval, Decision
from gyre_inference.domain.generation import (
    Ending,
    FinishReason,
    ModelRequest,
    Parameters,
    Piece,
    Usage,
)
from gyre_inference.domain.rollouts import (
    ANSWERED,
    CANDIDATE,
    CHAMPION,
    Plan,
    Rollout,
    RolloutKind,
    RolloutState,
    Verdict,
    moved,
)
from gyre_inference.domain.sequential import Arm
from gyre_inference.domain.verdicts import judged, slow_after
from gyre_inference.domain.wishes import wish_for
from gyre_inference.use_cases.rollouts.driving import Patience
from gyre_inference.use_cases.rollouts.managing import Wanted
from gyre_inference.use_cases.rollouts.trained import RollOutTrained
from inference_world import World, start
from rollout_world import NEW, PLAN, TO_NEW, RolloutWorld, judge, rollout, trained

S = RolloutState
TO_PROMPT = Wanted(RolloutKind.PROMPT, "answer", "candidate", plan=replace(PLAN, shadow_pairs=0))


@pytest.fixture
def rolling(world: World) -> RolloutWorld:
    return RolloutWorld(world)


async def second_prompt(world: World) -> str:
    """A version of the tenant's own, labelled `candidate`."""
    known = await world.stories.in_force.prompt("acme", "answer")
    content = replace(known.content, system=known.content.system + "\nBe brief.")
    draft = world.stories.prompts.draft(content, "", "ada", ("candidate",))
    outcome = await world.stories.prompts.versions.register("acme", "answer", draft)
    return str(outcome.registered.version.number)


async def test_a_model_goes_to_everybody_by_steps(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    ended = await rolling.until(one, S.PROMOTED)
    states = [(change.to_state, change.weight) for change in ended.changes]
    assert states == [
        (S.LOADING, 0.0),
        (S.PROBING, 0.0),
        (S.SHADOW, 0.0),
        (S.CANARY, 0.2),
        (S.CANARY, 0.5),
        (S.PROMOTED, 1.0),
    ]
    assert rolling.server.loaded[NEW] == "READY"
    record = await rolling.ask(conversation_id="talk")
    assert (record.model, record.experiment) == (NEW, "")
    assert (await rolling.chat()).model == NEW


async def test_another_process_has_the_champion_as_soon_as_it_looks(rolling: RolloutWorld) -> None:
    there = rolling.world.new_process()
    await start(there)
    one = await rolling.start()
    await rolling.until(one, S.CANARY)
    await there.in_force.refresh()
    assert there.in_force.offers("acme", NEW)
    assert not there.in_force.offers("globex", NEW)
    await rolling.until(one, S.PROMOTED)
    await there.in_force.refresh()
    assert there.in_force.release("acme", "gyre-reader") == NEW
    assert there.in_force.release("globex", "gyre-reader") == "gyre-reader"
    assert there.in_force.experiment("acme", "answer") is None
    await rolling.manage.abort("acme", one, "ada", "")
    await there.in_force.refresh()
    assert there.in_force.release("acme", "gyre-reader") == "gyre-reader"


async def test_every_step_up_has_its_evidence(rolling: RolloutWorld) -> None:
    ended = await rolling.until(await rolling.start(), S.PROMOTED)
    for change in ended.changes[3:]:
        assert change.evidence is not None
        assert change.evidence.verdict is Verdict.NOT_WORSE
        assert not change.author
    last = ended.changes[-1].evidence
    assert last is not None
    assert {one.metric for one in last.metrics} == {"feedback.helpful", ANSWERED, "in_time"}


async def test_too_few_judgements_promote_nothing(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    await rolling.until(one, S.CANARY)
    before = await rolling.now(one)
    rolling.world.rollouts.observed.clear()
    for _ in range(3):
        await rolling.deed()
    assert await rolling.now(one) == before


async def test_a_candidate_that_is_judged_worse_is_taken_back(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    known = await rolling.until(one, S.CANARY)
    rolling.world.rollouts.observed.clear()
    await judge(rolling.world.rollouts, known, candidate=0.3, champion=0.9)
    await rolling.deed()
    ended = await rolling.now(one)
    assert ended.state is S.ROLLED_BACK
    assert ended.changes[-1].evidence is not None
    assert ended.changes[-1].evidence.verdict is Verdict.WORSE
    assert "feedback.helpful 0.300 (n 150) against 0.900 (n 150)" in ended.changes[-1].reason
    record = await rolling.ask(conversation_id="talk")
    assert (record.model, record.experiment) == ("gyre-reader", "")


async def test_a_candidate_that_loses_its_pairs_is_never_shown(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    await judge(rolling.world.rollouts, await rolling.now(one), candidate=0.5)
    await rolling.deed()
    ended = await rolling.now(one)
    assert ended.state is S.ROLLED_BACK
    assert S.CANARY not in {change.to_state for change in ended.changes}


async def test_whoever_the_candidate_answers_once_it_answers_at_every_step(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    known = await rolling.until(one, S.CANARY)
    talks = [f"talk-{n}" for n in range(60)]
    first = {talk: await rolling.ask(conversation_id=talk) for talk in talks}
    shares = Counter(record.variant for record in first.values())
    assert 0 < shares[CANDIDATE] < shares[CHAMPION]
    models = {record.variant: record.model for record in first.values()}
    assert models == {CANDIDATE: NEW, CHAMPION: "gyre-reader"}
    rolling.world.rollouts.observed.clear()
    await judge(rolling.world.rollouts, known)
    await rolling.deed()
    assert (await rolling.now(one)).weight == 0.5
    for talk in talks:
        if first[talk].variant == CANDIDATE:
            assert (await rolling.ask(conversation_id=talk)).variant == CANDIDATE


async def test_faults_of_the_candidate_count_and_those_of_callers_do_not(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    await rolling.until(one, S.CANARY)
    rolling.world.rollouts.observed.clear()
    rolling.world.model.models -= {NEW}
    for n in range(60):
        with contextlib.suppress(Unavailable):
            await rolling.ask(conversation_id=f"talk-{n}")
    await rolling.world.stories.observer.write()
    sums = await rolling.world.rollouts.sums("acme", one, 1)
    assert sums[ANSWERED, CANDIDATE].mean == 0.0
    assert sums[ANSWERED, CHAMPION].mean == 1.0
    await rolling.deed()
    assert (await rolling.now(one)).state is S.ROLLED_BACK


async def test_a_second_answer_is_compared_unseen_and_leaves_no_record(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    rolling.world.model.asked.clear()
    shadows = asyncio.create_task(rolling.world.stories.shadows.run())
    for n in range(5):
        record = await rolling.ask(conversation_id=f"talk-{n}")
        assert (record.model, record.variant) == ("gyre-reader", CHAMPION)
    await rolling.world.stories.shadows.drain()
    shadows.cancel()
    assert Counter(asked.model for asked in rolling.world.model.asked)[NEW] == 5
    assert (await rolling.world.rollouts.pairs("acme", one)).count == 5
    assert len(rolling.world.records.answers) == 5


async def test_a_shadow_that_fails_is_worse_and_one_without_room_says_nothing(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    told = rolling.world.model.write
    faults = {0: Overloaded("full"), 1: Unavailable("gone")}
    asked = 0

    def write(request: ModelRequest):  # type: ignore[no-untyped-def]
        nonlocal asked
        if request.model == NEW:
            asked += 1
            raise faults[asked - 1]
        return told(request)

    rolling.world.model.write = write  # type: ignore[method-assign]
    shadows = asyncio.create_task(rolling.world.stories.shadows.run())
    for n in range(2):
        await rolling.ask(conversation_id=f"talk-{n}")
        await rolling.world.stories.shadows.drain()
    shadows.cancel()
    pairs = await rolling.world.rollouts.pairs("acme", one)
    assert (pairs.count, pairs.worse) == (1, 1)


async def test_shadows_that_nobody_gets_to_are_left_out_and_nobody_waits(
    rolling: RolloutWorld,
) -> None:
    await rolling.start()
    for _ in range(3):
        await rolling.deed()
    for n in range(70):
        await rolling.ask(conversation_id=f"talk-{n}")
    assert rolling.world.stories.shadows.left_out == 6


GATED = replace(TO_NEW, plan=replace(PLAN, gated=True))


async def gating(rolling: RolloutWorld, wanted: Wanted = GATED) -> str:
    """A rollout that waits for its gate."""
    one = await rolling.start(wanted)
    for _ in range(3):
        await rolling.deed()
    assert (await rolling.now(one)).state is S.GATING
    return one


async def test_a_gated_candidate_answers_nobody_before_its_gate_passed(
    rolling: RolloutWorld,
) -> None:
    one = await gating(rolling)
    await rolling.deed()
    assert {(await rolling.ask(conversation_id=f"t{n}")).variant for n in range(20)} == {CHAMPION}
    with pytest.raises(Conflict, match="GATING cannot be promoted"):
        await rolling.manage.promote("acme", one, "ada", "I am sure", fully=True)
    assert rolling.server.loaded[NEW] == "READY"  # the gate asks it
    await rolling.world.stories.gates.said("acme", one, Decision("gate-1", "pass"))
    await rolling.deed()
    shown = await rolling.now(one)
    assert (shown.state, shown.gate_id) == (S.SHADOW, "gate-1")
    assert shown.changes[-1].reason == "the gate passed"
    assert (await rolling.until(one, S.PROMOTED)).gate_id == "gate-1"


@pytest.mark.parametrize("verdict", ["fail", "insufficient", "of a later release"])
async def test_a_gate_that_does_not_pass_takes_the_candidate_back(
    rolling: RolloutWorld, verdict: str
) -> None:
    one = await gating(rolling)
    said = Decision("gate-1", verdict, ("accuracy fell by 0.2", "too few examples"))
    await rolling.world.stories.gates.said("acme", one, said)
    await rolling.deed()
    ended = await rolling.now(one)
    assert (ended.state, ended.gate_id, ended.changes[-1].author) == (S.ROLLED_BACK, "gate-1", "")
    reason = f"the gate said {verdict}: accuracy fell by 0.2; too few examples"
    assert ended.changes[-1].reason == reason


@pytest.mark.parametrize("granted", [True, False])
async def test_where_a_person_has_to_approve_the_rollout_waits_for_that(
    rolling: RolloutWorld, granted: bool
) -> None:
    one = await gating(rolling)
    gates = rolling.world.stories.gates
    await gates.said("acme", one, Decision("gate-1", "pass", needs_approval=True))
    await rolling.deed()
    known = await rolling.manage.get("acme", one)
    assert (known.rollout.state, known.rollout.gate_id) == (S.GATING, "gate-1")
    now = datetime.now(UTC)
    await gates.said("acme", one, Approval("gate-0", not granted, "eve", "of another gate", now))
    await rolling.deed()
    assert (await rolling.now(one)).state is S.GATING
    later = now + timedelta(seconds=1)
    await gates.said("acme", one, Approval("gate-1", granted, "ada", "I looked", later))
    await rolling.deed()
    ended = await rolling.now(one)
    assert ended.state is (S.SHADOW if granted else S.ROLLED_BACK)
    assert "by ada: I looked" in ended.changes[-1].reason


async def test_what_is_said_early_or_of_others_is_kept_or_left_alone(rolling: RolloutWorld) -> None:
    one = await rolling.start(GATED)
    gates = rolling.world.stories.gates
    await gates.said("acme", one, Approval("gate-1", True, "ada", "", datetime.now(UTC)))
    await gates.said("acme", one, Decision("gate-1", "pass", needs_approval=True))
    for cause in ("", "reindex-1", "rollout-nowhere"):
        await gates.said("acme", cause, Decision("gate-2", "fail"))
    await gates.said("globex", one, Decision("gate-2", "fail"))
    await rolling.until(one, S.SHADOW)
    await gates.said("acme", one, Decision("gate-2", "fail"))
    await rolling.until(one, S.PROMOTED)


async def test_a_gate_that_never_comes_and_an_approval_that_never_comes(world: World) -> None:
    rolling = RolloutWorld(world, Patience(gate=0.0))
    one = await gating(rolling)
    await rolling.deed()
    assert (await rolling.now(one)).changes[-1].reason.startswith("no gate came to a verdict")
    rolling = RolloutWorld(world, Patience(longest=0.0))
    two = await gating(rolling)
    said = Decision("gate-1", "pass", needs_approval=True)
    await rolling.world.stories.gates.said("acme", two, said)
    await rolling.deed()
    assert (await rolling.now(two)).changes[-1].reason.startswith("nobody approved")


async def test_a_person_aborts_while_the_gate_is_waited_for(rolling: RolloutWorld) -> None:
    ended = await rolling.manage.abort("acme", await gating(rolling), "ada", "not this one")
    assert ended.state is S.ROLLED_BACK


async def test_a_gated_prompt_waits_at_once_and_goes_on_without_a_shadow(
    rolling: RolloutWorld,
) -> None:
    await second_prompt(rolling.world)
    one = await rolling.start(replace(TO_PROMPT, plan=replace(TO_PROMPT.plan, gated=True)))
    await rolling.deed()
    assert (await rolling.now(one)).state is S.GATING
    await rolling.world.stories.gates.said("acme", one, Decision("gate-1", "pass"))
    await rolling.deed()
    assert (await rolling.now(one)).state is S.CANARY


async def test_a_repeated_start_finds_the_rollout_also_after_its_end(rolling: RolloutWorld) -> None:
    keyed = replace(TO_NEW, creation_key="k1", model="gyre-reader/7")
    one, again = await asyncio.gather(rolling.start(keyed), rolling.start(keyed))
    assert one == again
    ended = await rolling.until(one, S.PROMOTED)
    assert ended.model == "gyre-reader/7"
    assert await rolling.start(keyed) == one
    with pytest.raises(Conflict, match="creation key"):
        await rolling.start(replace(keyed, candidate="llm-other"))


def rolling_out(rolling: RolloutWorld) -> tuple[RollOutTrained, list[str]]:
    told: list[str] = []
    store = rolling.hands.shelf
    assert isinstance(store, MemoryModelShelf)
    for version in (1, 2, 3):
        store.store[f"acme/gyre-reader/training-{version}"] = str(version)
        rolling.world.model.models |= {wish_for("acme", trained(version)).candidate}
    world, plan = rolling.world, replace(PLAN, gated=True)
    by_itself = RollOutTrained(
        world.rollouts, world.policy, plan, rolling.refresh, told=lambda _, why: told.append(why)
    )
    return by_itself, told


async def test_a_trained_model_is_rolled_out_by_itself_once(rolling: RolloutWorld) -> None:
    by_itself, told = rolling_out(rolling)
    await by_itself.heard("acme", trained(1))
    await by_itself.heard("acme", trained(1))
    await asyncio.gather(by_itself.look(), by_itself.look())
    (known,) = await rolling.world.rollouts.list("acme", True, 0, 10)
    assert (known.candidate, known.model) == ("llm-gyre-reader-v1-00000000", "gyre-reader/1")
    assert (known.workload, known.plan.gated, known.author) == ("answer", True, "")
    assert known.model_uri == "acme/gyre-reader/training-1"
    ended = await rolling.until(known.rollout_id, S.PROMOTED)
    assert S.GATING in {change.to_state for change in ended.changes}
    await by_itself.look()
    assert not await rolling.world.rollouts.list("acme", True, 0, 10)
    assert told == ["a newer one, or itself, was heard of before"]


async def test_the_newest_trained_model_waits_until_its_place_is_free(
    rolling: RolloutWorld,
) -> None:
    by_itself, told = rolling_out(rolling)
    one = await rolling.start()
    for version in (1, 3, 2):
        await by_itself.heard("acme", trained(version))
        await by_itself.look()
    assert [known.rollout_id for known in await rolling.world.rollouts.running()] == [one]
    await rolling.manage.abort("acme", one, "ada", "")
    await by_itself.look()
    (known,) = await rolling.world.rollouts.running()
    assert known.model == "gyre-reader/3"
    assert len(told) == 1


async def test_what_is_not_offered_or_in_force_already_is_not_rolled_out(
    rolling: RolloutWorld,
) -> None:
    by_itself, told = rolling_out(rolling)
    await by_itself.heard("acme", trained(1, name="somebody-elses"))
    wish = wish_for("acme", trained(2))
    rolling.world.rollouts.champions["acme", "gyre-reader"] = wish.candidate, 1
    await by_itself.heard("acme", trained(2))
    await by_itself.look()
    assert not await rolling.world.rollouts.running()
    assert not await rolling.world.rollouts.wishes()
    assert told[0] == "no model of that name is offered"
    assert "is the champion already" in told[1]


async def test_a_wish_that_was_begun_when_its_process_died_is_begun_once(
    rolling: RolloutWorld,
) -> None:
    by_itself, _ = rolling_out(rolling)
    await by_itself.heard("acme", trained(1))
    (wish,) = await rolling.world.rollouts.wishes()
    await rolling.world.rollouts.start(wish.rollout("gyre-reader", PLAN, datetime.now(UTC)))
    await by_itself.look()
    assert len(await rolling.world.rollouts.list("acme", False, 0, 10)) == 1
    assert not await rolling.world.rollouts.wishes()


def test_a_candidates_name_fits_the_server_and_tells_contents_apart() -> None:
    names = {
        wish_for("acme", replace(trained(1, name="n" * 64), content_hash=content * 64)).candidate
        for content in "ab"
    }
    assert len(names) == 2
    assert {len(name) for name in names} == {63}


async def test_a_model_that_the_server_lost_is_placed_and_loaded_anew(
    rolling: RolloutWorld,
) -> None:
    await rolling.until(await rolling.start(), S.PROMOTED)
    rolling.server.folders = {"gyre-reader"}
    rolling.server.loaded = {"gyre-reader": "READY"}
    found = await rolling.reconciler(frozenset({"gyre-reader"})).look()
    assert found.loaded == (NEW,)
    assert rolling.server.loaded[NEW] == "READY"
    assert (await rolling.reconciler(frozenset({"gyre-reader"})).look()).loaded == ()


async def test_a_candidate_is_asked_by_its_name_while_it_is_rolled_out(
    rolling: RolloutWorld,
) -> None:
    """A gate asks for them so, before any user is answered by the candidate."""
    in_force = rolling.world.stories.in_force
    rollout_id = await rolling.start()
    await in_force.refresh()
    assert (in_force.offers("acme", NEW), in_force.offers("globex", NEW)) == (True, False)
    await rolling.manage.abort("acme", rollout_id, "ada", "enough")
    await in_force.refresh()
    assert not in_force.offers("acme", NEW)


async def test_a_prompt_rolls_out_without_loading(rolling: RolloutWorld) -> None:
    number = await second_prompt(rolling.world)
    one = await rolling.start(TO_PROMPT)
    ended = await rolling.until(one, S.PROMOTED)
    assert S.LOADING not in {change.to_state for change in ended.changes}
    assert (await rolling.ask()).prompt_version == number
    assert not rolling.server.calls
    await rolling.manage.abort("acme", one, "ada", "rude")
    assert (await rolling.ask()).prompt_version == ended.champion


async def test_a_shadowed_prompt_is_rendered_with_what_the_user_asked(
    rolling: RolloutWorld,
) -> None:
    await second_prompt(rolling.world)
    one = await rolling.start(replace(TO_PROMPT, plan=PLAN))
    await rolling.deed()
    rolling.world.model.asked.clear()
    shadows = asyncio.create_task(rolling.world.stories.shadows.run())
    await rolling.ask(conversation_id="talk")
    await rolling.world.stories.shadows.drain()
    shadows.cancel()
    first, second = rolling.world.model.asked
    assert "Be brief." in second.messages[0].content
    assert "Be brief." not in first.messages[0].content
    assert second.messages[-1] == first.messages[-1]
    assert (await rolling.world.rollouts.pairs("acme", one)).count == 1


async def test_an_adapter_of_a_loaded_model_is_not_loaded_again(rolling: RolloutWorld) -> None:
    rolling.world.model.models |= {"gyre-reader+legal"}
    one = await rolling.start(replace(TO_NEW, candidate="gyre-reader+legal", model_uri=""))
    await rolling.until(one, S.PROMOTED)
    assert not rolling.server.calls
    assert (await rolling.ask()).model == "gyre-reader+legal"


async def test_an_adapter_travels_beside_the_name_of_its_model(rolling: RolloutWorld) -> None:
    request = ModelRequest("llm-1+legal", (), Parameters(), "acme", "r1")
    asked = infer_request(request)
    place = [tensor.name for tensor in asked.inputs].index("lora_name")
    assert (asked.model_name, asked.raw_input_contents[place][4:]) == ("llm-1", b"legal")
    plain = infer_request(replace(request, model="llm-1"))
    assert "lora_name" not in [tensor.name for tensor in plain.inputs]
    record = replace(await rolling.ask(), model="llm-1+legal")
    told = wire.record(record)
    assert (told.model, told.adapter) == ("llm-1", "legal")


async def test_where_a_person_promotes_the_service_alone_only_takes_back(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    promoted = await rolling.manage.promote("acme", one, "ada", "I looked", fully=False)
    assert (promoted.state, promoted.attended) == (S.CANARY, True)
    assert promoted.changes[-1].author == "ada"
    await judge(rolling.world.rollouts, promoted)
    for _ in range(3):
        await rolling.deed()
    assert await rolling.now(one) == promoted
    rolling.world.rollouts.observed.clear()
    await judge(rolling.world.rollouts, promoted, candidate=0.2)
    await rolling.deed()
    assert (await rolling.now(one)).state is S.ROLLED_BACK


async def test_a_person_takes_back_what_was_promoted_while_the_old_one_is_kept(
    rolling: RolloutWorld,
) -> None:
    one = await rolling.start()
    await rolling.until(one, S.PROMOTED)
    back = await rolling.manage.abort("acme", one, "ada", "rude answers")
    assert (back.state, back.changes[-1].author) == (S.ROLLED_BACK, "ada")
    assert (await rolling.ask()).model == "gyre-reader"
    assert await rolling.manage.abort("acme", one, "ada", "") == back
    two = await rolling.start(replace(TO_NEW, plan=replace(PLAN, keep=0.0)))
    await rolling.until(two, S.PROMOTED)
    with pytest.raises(Conflict, match="no longer kept"):
        await rolling.manage.abort("acme", two, "ada", "")


async def test_an_abort_is_the_last_word_while_the_rollout_goes_on(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    known = rolling.world.rollouts.get
    looks = 0

    async def get(tenant: str, rollout_id: str) -> Rollout:
        nonlocal looks
        looks += 1
        found = await known(tenant, rollout_id)
        if looks == 1:
            await rolling.deed()
        return found

    rolling.world.rollouts.get = get  # type: ignore[method-assign]
    ended = await rolling.manage.abort("acme", one, "ada", "no")
    assert [change.to_state for change in ended.changes] == [S.LOADING, S.ROLLED_BACK]


async def test_a_model_that_cannot_be_loaded_is_given_up(rolling: RolloutWorld) -> None:
    one = await rolling.start(replace(TO_NEW, model_uri="nowhere"))
    for _ in range(2):
        await rolling.deed()
    ended = await rolling.now(one)
    assert (ended.state, ended.changes[-1].reason) == (
        S.ROLLED_BACK,
        "there is no model at 'nowhere'",
    )


async def test_a_model_server_that_is_away_is_waited_for(rolling: RolloutWorld) -> None:
    one = await rolling.start()
    await rolling.deed()
    rolling.server.fault = Unavailable("away")
    await rolling.deed()
    assert (await rolling.now(one)).state is S.LOADING
    rolling.server.fault = None
    await rolling.deed()
    assert (await rolling.now(one)).state is S.PROBING


async def test_patience_with_a_server_and_with_a_rollout_ends(world: World) -> None:
    rolling = RolloutWorld(world, Patience(trying=0.0))
    one = await rolling.start()
    await rolling.deed()
    rolling.server.fault = Unavailable("away")
    await rolling.deed()
    assert (await rolling.now(one)).changes[-1].reason == "given up: away"
    rolling = RolloutWorld(world, Patience(longest=0.0))
    two = await rolling.start()
    for _ in range(4):
        await rolling.deed()
    assert (await rolling.now(two)).changes[-1].reason.startswith("too few judgements")


async def test_a_candidate_that_is_not_up_yet_is_probed_again(rolling: RolloutWorld) -> None:
    rolling.world.model.models -= {NEW}
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    assert (await rolling.now(one)).state is S.PROBING
    assert isinstance(rolling.faults[-1], Unavailable)
    rolling.world.model.models |= {NEW}
    await rolling.deed()
    assert (await rolling.now(one)).state is S.SHADOW


async def test_a_candidate_that_writes_nothing_is_given_up(rolling: RolloutWorld) -> None:
    async def silent(request: ModelRequest) -> AsyncGenerator[Piece, None]:
        yield Piece("", Ending(FinishReason.STOP, Usage(9, 0)))

    rolling.world.model.write = silent  # type: ignore[method-assign]
    one = await rolling.start()
    for _ in range(3):
        await rolling.deed()
    ended = await rolling.now(one)
    assert ended.state is S.ROLLED_BACK
    assert ended.changes[-1].reason == "the candidate wrote nothing when it was probed"


async def test_one_rollout_runs_for_a_name_and_one_experiment_for_a_workload(
    rolling: RolloutWorld,
) -> None:
    tone = Experiment("tone", "answer", (Variant("a", 1), Variant("b", 1)))
    await rolling.world.stories.experiments.start("acme", tone)
    with pytest.raises(Conflict, match="tone"):
        await rolling.start()
    await rolling.world.stories.experiments.stop("acme", "tone", "ada")
    one = await rolling.start()
    with pytest.raises(Conflict, match=one):
        await rolling.start(replace(TO_NEW, workload="generate"))
    with pytest.raises(Conflict, match="rollout"):
        await rolling.world.stories.experiments.stop("acme", one, "ada")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (replace(TO_NEW, candidate="Not A Name"), "candidate"),
        (replace(TO_NEW, candidate="gyre-reader"), "candidate"),
        (replace(TO_NEW, plan=replace(PLAN, steps=(0.5, 0.2))), "plan.steps"),
        (replace(TO_NEW, plan=replace(PLAN, steps=())), "plan.steps"),
        (replace(TO_NEW, plan=replace(PLAN, steps=(1.0,))), "plan.steps"),
        (replace(TO_NEW, plan=replace(PLAN, metrics=("thumbs",))), "plan.metrics"),
        (replace(TO_NEW, plan=replace(PLAN, margin=0.0)), "plan.margin"),
        (replace(TO_NEW, plan=replace(PLAN, false_alarms=0.0)), "plan.false_alarms"),
        (replace(TO_NEW, plan=replace(PLAN, minimum=0)), "plan.minimum"),
        (replace(TO_NEW, message="x" * 2000), "message"),
        (Wanted(RolloutKind.PROMPT, "answer", "1", plan=PLAN), "candidate"),
        (Wanted(RolloutKind.PROMPT, "condense", "1", plan=PLAN), "candidate"),
    ],
)
async def test_a_rollout_that_breaks_a_rule_is_refused(
    rolling: RolloutWorld, wanted: Wanted, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await rolling.start(wanted)
    assert list(refused.value.violations) == [field]


async def test_what_a_rollout_names_has_to_be_there(rolling: RolloutWorld) -> None:
    for wanted in (
        replace(TO_NEW, name="unknown"),
        replace(TO_NEW, workload="unknown"),
        Wanted(RolloutKind.PROMPT, "answer", "candidate"),
    ):
        with pytest.raises(NotFound):
            await rolling.start(wanted)


async def test_only_what_a_state_allows_comes_after_it() -> None:
    now = datetime.now(UTC)
    for state, next_state in ((S.REQUESTED, S.PROMOTED), (S.ROLLED_BACK, S.CANARY)):
        with pytest.raises(Conflict):
            moved(rollout(state=state), next_state, "", now)
    with pytest.raises(Conflict, match="no further step"):
        moved(rollout(state=S.CANARY, step=2), S.CANARY, "", now)


def test_a_metric_where_less_is_better_is_turned_round() -> None:
    plan = replace(PLAN, metrics=("-evaluation.toxicity",))
    known = rollout(state=S.CANARY, step=1, plan=plan)
    sums = {
        ("evaluation.toxicity", CHAMPION): Arm(300, 300.0),
        ("evaluation.toxicity", CANDIDATE): Arm(300, 30.0),
    }
    assert judged(known, sums, sums).metrics[0].verdict is Verdict.WORSE


def test_what_is_acted_on_holds_with_doubted_judgements_and_without() -> None:
    known = rollout(state=S.CANARY, step=1, plan=PLAN)
    answered = {(ANSWERED, arm): Arm(300, 300.0) for arm in (CHAMPION, CANDIDATE)}

    def helpful(candidate: float, count: int = 300) -> dict[tuple[str, str], Arm]:
        arms = {CHAMPION: Arm(300, 240.0), CANDIDATE: Arm(count, count * candidate)}
        return {("feedback.helpful", arm): one for arm, one in arms.items()} | answered

    good, bad, none = helpful(0.9), helpful(0.3), helpful(0.0, 0)
    assert judged(known, good, good).verdict is Verdict.NOT_WORSE
    assert judged(known, bad, bad).verdict is Verdict.WORSE
    for told, counting in ((bad, good), (good, bad), (good, none), (bad, none)):
        found = judged(known, told, counting)
        assert found.verdict is Verdict.INSUFFICIENT
        shown = counting["feedback.helpful", CANDIDATE]
        assert found.metrics[0].candidate_count == shown.count


def test_in_time_is_what_nine_of_ten_answers_took() -> None:
    assert slow_after([float(n) for n in range(1, 101)]) == 90.0
    assert slow_after([1.0] * 9) is None


async def test_what_is_wanted_is_loaded_and_what_is_not_is_unloaded(rolling: RolloutWorld) -> None:
    reconciler = rolling.reconciler(frozenset({"gyre-reader"}))
    rolling.server.folders |= {"llm-stray", "bge"}
    rolling.server.loaded |= {"llm-stray": "READY", "bge": "READY"}
    one = await rolling.start()
    await rolling.until(one, S.SHADOW)
    rolling.server.loaded[NEW] = "UNAVAILABLE"  # the server was started anew
    assert (await reconciler.look()).loaded == (NEW,)
    await rolling.manage.abort("acme", one, "ada", "")
    found = await reconciler.look()
    assert (found.unloaded, found.foreign) == ((NEW,), ("llm-stray",))
    again = await reconciler.look()
    assert (again.loaded, again.unloaded, again.stuck) == ((), (), ())
    assert rolling.server.loaded["bge"] == rolling.server.loaded["gyre-reader"] == "READY"


async def test_the_champion_of_before_is_kept_and_then_unloaded(rolling: RolloutWorld) -> None:
    await rolling.until(await rolling.start(), S.PROMOTED)
    later = replace(TO_NEW, candidate="llm-later", model_uri="other")
    rolling.world.model.models |= {"llm-later"}
    two = await rolling.start(later)
    ended = await rolling.until(two, S.PROMOTED)
    assert ended.champion == NEW
    reconciler = rolling.reconciler(frozenset({"gyre-reader"}), drain=30.0)
    assert (await reconciler.look()).unloaded == ()
    known, revision = rolling.world.rollouts.known["acme", two]
    long_ago = ended.changes[-1].time - timedelta(hours=1)
    changes = (*ended.changes[:-1], replace(ended.changes[-1], time=long_ago))
    rolling.world.rollouts.known["acme", two] = replace(known, changes=changes), revision
    assert (await reconciler.look()).unloaded == (NEW,)


async def test_an_unloading_that_never_ends_is_told_and_not_waited_for(
    rolling: RolloutWorld,
) -> None:
    reconciler = rolling.reconciler(patience=0.0)
    rolling.server.stuck = {NEW}
    one = await rolling.start()
    await rolling.until(one, S.SHADOW)
    await rolling.manage.abort("acme", one, "ada", "")
    assert (await reconciler.look()).unloaded == (NEW,)
    found = await reconciler.look()
    assert (found.unloaded, found.stuck) == ((), (NEW,))


async def test_a_candidate_that_was_taken_back_stays_for_requests_on_their_way(
    rolling: RolloutWorld,
) -> None:
    reconciler = rolling.reconciler(drain=60.0)
    one = await rolling.start()
    await rolling.until(one, S.SHADOW)
    await rolling.manage.abort("acme", one, "ada", "")
    assert (await reconciler.look()).unloaded == ()


def test_the_defaults_are_a_plan_that_is_allowed() -> None:
    assert Plan().has_shadow
    assert not Plan(shadow_share=0.0).has_shadow
