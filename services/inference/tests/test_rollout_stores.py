"""One promise, two adapters: rollouts in memory and in the database; killed at every point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import opened, subjects
from gyre_inference.adapters.experiments import DatabaseExperiments
from gyre_inference.adapters.memory import MemoryLanguageModel
from gyre_inference.adapters.memory_registry import MemoryExperiments, MemoryRegistry
from gyre_inference.adapters.memory_rollouts import MemoryModelServer, MemoryRollouts
from gyre_inference.adapters.registry import DatabaseRegistry
from gyre_inference.adapters.rollouts import DatabaseRollouts
from gyre_inference.adapters.tables import rollouts as rows
from gyre_inference.domain.experiments import Experiment, Variant
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.gates import Approval, Decision, GateWord
from gyre_inference.domain.registry import Key, Kind, Move, Version
from gyre_inference.domain.rollouts import (
    ANSWERED,
    CANDIDATE,
    CHAMPION,
    Doubt,
    Observation,
    Pair,
    Rollout,
    RolloutKind,
    RolloutState,
    moved,
    rollout_id_of,
)
from gyre_inference.domain.sequential import Arm, Pairs
from gyre_inference.domain.wishes import wish_for
from gyre_inference.ports import Experiments, Registry, Rollouts
from gyre_inference.use_cases.rollouts.driving import Driver, Hands, Patience
from gyre_inference.use_cases.rollouts.reconciling import Reconciler
from gyre_runtime.database import Database
from rollout_world import NEW, PLAN, hands, judge, rollout, trained, work

S = RolloutState
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
PROMPT = rollout("answer", "2", kind=RolloutKind.PROMPT, champion="1")
EVENTS = ("RolloutStarted", "RolloutChanged", "ModelPromoted", "ModelRolledBack")


@dataclass
class Store:
    """An adapter, and what it shares with others."""

    rollouts: Rollouts
    experiments: Experiments
    registry: Registry
    database: Database | None = None

    async def said(self) -> list[str]:
        """Events of rollouts, in order."""
        if isinstance(self.rollouts, MemoryRollouts):
            return self.rollouts.said
        assert self.database is not None
        named = {_snake(name): name for name in EVENTS}
        found = [one.split(".")[3] for one in await subjects(self.database)]
        return [named[one] for one in found if one in named]

    async def expire(self) -> None:
        """As if the process that holds a rollout had died long ago."""
        if isinstance(self.rollouts, MemoryRollouts):
            self.rollouts.held.clear()
            return
        assert self.database is not None
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(sa.update(rows).values(lease_time=0.0))


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name).lstrip("_")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        registry = MemoryRegistry()
        experiments = MemoryExperiments(registry)
        yield Store(MemoryRollouts(experiments), experiments, registry)
        return
    async with opened(request.param, tmp_path) as database:
        yield Store(
            DatabaseRollouts(database),
            DatabaseExperiments(database),
            DatabaseRegistry(database),
            database,
        )


async def go(rollouts: Rollouts, known: Rollout, *states: RolloutState) -> Rollout:
    for state in states:
        known = await rollouts.change(known, moved(known, state, "because", NOW))
    return known


def seen(known: Rollout, metric: str, unit: str, value: float, arm: str = CANDIDATE) -> Observation:
    return Observation("acme", known.rollout_id, arm, metric, unit, value)


async def test_a_rollout_is_read_as_it_was_kept(store: Store) -> None:
    started = await store.rollouts.start(rollout(slow_after=1.5))
    moved_on = await go(store.rollouts, started, S.LOADING, S.PROBING)
    assert await store.rollouts.get("acme", "rollout-1") == moved_on
    assert list(await store.rollouts.list("acme", True, 0, 10)) == [moved_on]
    assert list(await store.rollouts.running()) == [moved_on]
    assert not await store.rollouts.list("globex", False, 0, 10)
    with pytest.raises(NotFound):
        await store.rollouts.get("globex", "rollout-1")


async def test_a_second_one_for_a_name_or_a_workload_is_refused(store: Store) -> None:
    await store.rollouts.start(rollout())
    with pytest.raises(Conflict):
        await store.rollouts.start(rollout(rollout_id="rollout-2", workload="generate"))
    with pytest.raises(Conflict):
        await store.rollouts.start(rollout("other", rollout_id="rollout-3"))
    other = rollout("other", rollout_id="rollout-4", workload="generate")
    assert await store.rollouts.start(other) == other
    elsewhere = rollout(tenant="globex")
    assert await store.rollouts.start(elsewhere) == elsewhere


async def test_a_creation_key_stands_for_one_rollout_for_ever(store: Store) -> None:
    key = rollout_id_of("acme", "k1")
    wanted = rollout(rollout_id=key, creation_key="k1")
    both = await asyncio.gather(*(store.rollouts.start(wanted) for _ in range(4)))
    assert both == [wanted] * 4
    ended = await go(store.rollouts, wanted, S.ROLLED_BACK)
    assert await store.rollouts.start(wanted) == ended
    with pytest.raises(Conflict, match="creation key"):
        await store.rollouts.start(replace(wanted, candidate="llm-2"))
    assert (await store.said()).count("RolloutStarted") == 1


async def test_what_a_gate_says_is_kept_in_any_order_while_the_rollout_runs(store: Store) -> None:
    passed = Decision("gate-1", "pass", needs_approval=True)
    refused, granted = (
        Approval("gate-1", yes, "ada", "why", NOW + timedelta(seconds=yes)) for yes in (False, True)
    )
    await store.rollouts.gate_said("acme", "rollout-1", passed)
    known = await store.rollouts.start(rollout())
    assert await store.rollouts.gate("acme", "rollout-1") == GateWord()
    for said in (granted, refused, passed, Decision("gate-1", "fail"), granted):
        await store.rollouts.gate_said("acme", "rollout-1", said)
    assert await store.rollouts.gate("acme", "rollout-1") == GateWord(passed, granted)
    assert await store.rollouts.gate("globex", "rollout-1") == GateWord()
    await go(store.rollouts, known, S.ROLLED_BACK)
    await store.rollouts.gate_said("acme", "rollout-1", passed)
    assert await store.rollouts.gate("acme", "rollout-1") == GateWord()


async def test_of_the_wishes_for_a_name_the_newest_waits(store: Store) -> None:
    first, second = (wish_for("acme", trained(version)) for version in (1, 2))
    assert await store.rollouts.wish(first)
    assert not await store.rollouts.wish(first)
    elsewhere = replace(first, tenant="globex")
    assert await store.rollouts.wish(elsewhere)
    assert await store.rollouts.wish(second)
    assert list(await store.rollouts.wishes()) == [elsewhere, second]
    await store.rollouts.fulfilled(first)
    assert list(await store.rollouts.wishes()) == [elsewhere, second]
    for _ in range(2):
        await store.rollouts.fulfilled(second)
    assert not await store.rollouts.wish(first)
    assert list(await store.rollouts.wishes()) == [elsewhere]


async def test_an_experiment_and_a_rollout_do_not_share_a_workload(store: Store) -> None:
    tone = Experiment("tone", "answer", (Variant("a", 1), Variant("b", 1)))
    await store.experiments.start("acme", tone)
    with pytest.raises(Conflict, match="tone"):
        await store.rollouts.start(rollout())


async def test_the_experiment_has_the_weights_of_now_and_ends_with_the_rollout(
    store: Store,
) -> None:
    known = await store.rollouts.start(rollout())
    shown = S.LOADING, S.PROBING, S.SHADOW, S.CANARY
    known = await go(store.rollouts, known, *shown)
    (shared,) = await store.experiments.list("acme", True, 0, 10)
    assert [(one.name, one.weight, one.model) for one in shared.variants] == [
        (CANDIDATE, 0.2, NEW),
        (CHAMPION, 0.8, ""),
    ]
    known = await go(store.rollouts, known, S.CANARY)
    (shared,) = await store.experiments.list("acme", True, 0, 10)
    assert shared.variants[0].weight == 0.5
    await go(store.rollouts, known, S.PROMOTED)
    assert not await store.experiments.list("acme", True, 0, 10)


async def test_a_transition_and_its_events_happen_once(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    shown = await go(store.rollouts, known, S.LOADING, S.PROBING, S.SHADOW, S.CANARY, S.CANARY)
    promoted = moved(shown, S.PROMOTED, "because", NOW)
    await store.rollouts.change(shown, promoted)
    with pytest.raises(Conflict, match="meanwhile"):
        await store.rollouts.change(shown, promoted)
    with pytest.raises(Conflict, match="meanwhile"):
        await store.rollouts.change(shown, moved(shown, S.ROLLED_BACK, "no", NOW))
    assert await store.rollouts.champion("acme", "gyre-reader") == NEW
    assert await store.said() == ["RolloutStarted", *["RolloutChanged"] * 6, "ModelPromoted"]


async def test_a_promotion_is_taken_back_to_what_was_before(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    path = S.LOADING, S.PROBING, S.SHADOW, S.PROMOTED
    known = await go(store.rollouts, known, *path)
    await go(store.rollouts, known, S.ROLLED_BACK)
    assert await store.rollouts.champion("acme", "gyre-reader") == "gyre-reader"
    assert (await store.said())[-2:] == ["RolloutChanged", "ModelRolledBack"]


async def test_what_another_one_replaced_meanwhile_is_not_replaced(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    first = await go(store.rollouts, known, S.LOADING, S.PROBING, S.SHADOW, S.PROMOTED)
    second = await store.rollouts.start(rollout("gyre-reader", "llm-2", rollout_id="rollout-2"))
    shown = await go(store.rollouts, second, S.LOADING, S.PROBING, S.SHADOW)
    with pytest.raises(Conflict, match="by now"):
        await go(store.rollouts, shown, S.PROMOTED)
    assert await store.rollouts.get("acme", "rollout-2") == shown
    assert await store.rollouts.champion("acme", "gyre-reader") == first.candidate


async def test_a_prompts_label_moves_with_its_rollout(store: Store) -> None:
    key = Key("acme", Kind.PROMPT, "answer")
    for number in (1, 2):
        async with store.registry.changing(key) as shelf:
            kept = Version(key, number, f"body {number}", f"{number:016}", "", "ada", NOW)
            await shelf.keep(kept)
    async with store.registry.changing(key) as shelf:
        await shelf.move(Move("production", 0, 1, "ada", "", NOW))
    known = await go(store.rollouts, await store.rollouts.start(PROMPT), S.SHADOW, S.PROMOTED)
    assert (await store.registry.holdings(key)).labels["production"] == 2
    await go(store.rollouts, known, S.ROLLED_BACK)
    assert (await store.registry.holdings(key)).labels["production"] == 1
    stale = replace(PROMPT, rollout_id="rollout-2", champion="2", candidate="1")
    stale = await store.rollouts.start(stale)
    with pytest.raises(Conflict):
        await go(store.rollouts, stale, S.SHADOW, S.PROMOTED)


async def test_a_process_that_looks_again_sees_what_changed(store: Store) -> None:
    before = await store.registry.revision()
    known = await store.rollouts.start(rollout())
    path = S.LOADING, S.PROBING, S.SHADOW, S.PROMOTED
    known = await go(store.rollouts, known, *path)
    changes = await store.rollouts.changes(before)
    assert list(changes.champions) == [("acme", "gyre-reader", NEW)]
    assert list(changes.rollouts) == [known]
    after = await store.rollouts.changes(await store.registry.revision())
    assert (list(after.champions), list(after.rollouts)) == ([], [])


async def test_one_holder_has_a_rollout_until_it_lets_go_or_dies(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    assert await store.rollouts.take("acme", "rollout-1", "one") == known
    assert await store.rollouts.take("acme", "rollout-1", "one") == known
    assert await store.rollouts.take("acme", "rollout-1", "two") is None
    await store.rollouts.release("acme", "rollout-1", "two")
    assert await store.rollouts.take("acme", "rollout-1", "two") is None
    await store.rollouts.release("acme", "rollout-1", "one")
    assert await store.rollouts.take("acme", "rollout-1", "two") == known
    await store.expire()
    assert await store.rollouts.take("acme", "rollout-1", "one") == known
    await go(store.rollouts, known, S.ROLLED_BACK)
    assert await store.rollouts.take("acme", "rollout-1", "one") is None


async def test_the_first_value_of_a_unit_counts_in_its_step(store: Store) -> None:
    known = await store.rollouts.start(rollout(slow_after=1.0))
    await store.rollouts.observe([seen(known, "feedback.helpful", "early", 1.0)])
    path = S.LOADING, S.PROBING, S.SHADOW, S.CANARY
    known = await go(store.rollouts, known, *path)
    told = [
        seen(known, "feedback.helpful", "u1", 1.0),
        seen(known, "feedback.helpful", "u1", 0.0),
        seen(known, "feedback.helpful", "u2", 0.25),
        seen(known, "feedback.helpful", "u3", 7.0),
        seen(known, "feedback.other", "u3", 1.0),
        seen(known, ANSWERED, "a1", 1.0, CHAMPION),
        seen(known, "seconds", "a1", 1.5),
        seen(replace(known, rollout_id="rollout-9"), ANSWERED, "a1", 1.0),
    ]
    for _ in range(2):
        await store.rollouts.observe(told)
    assert await store.rollouts.sums("acme", "rollout-1", 1) == {
        ("feedback.helpful", CANDIDATE): Arm(2, 1.25),
        (ANSWERED, CHAMPION): Arm(1, 1.0),
        ("in_time", CANDIDATE): Arm(1, 0.0),
    }
    known = await go(store.rollouts, known, S.CANARY)
    assert await store.rollouts.sums("acme", "rollout-1", 2) == {}
    await store.rollouts.observe([])


async def test_a_judgement_that_was_taken_back_is_left_out_where_it_does_not_count(
    store: Store,
) -> None:
    withdrawn = Doubt("f1", 2, 2, counts=False)
    await store.rollouts.doubt("acme", withdrawn)  # nothing runs: nothing is kept
    known = await store.rollouts.start(rollout())
    known = await go(store.rollouts, known, S.LOADING, S.PROBING, S.CANARY)
    given = [
        replace(seen(known, "feedback.helpful", f"u{n}", 1.0), source=f"f{n}") for n in range(3)
    ]
    await store.rollouts.observe(given)

    async def counted() -> tuple[int, int]:
        both = [
            await store.rollouts.sums("acme", "rollout-1", 1, doubted=doubted)
            for doubted in (True, False)
        ]
        found = [sums.get(("feedback.helpful", CANDIDATE), Arm()).count for sums in both]
        return found[0], found[1]

    assert await counted() == (3, 3)
    await store.rollouts.doubt("acme", withdrawn)
    await store.rollouts.doubt("acme", Doubt("f2", 1, 0, counts=False))
    await store.rollouts.doubt("acme", Doubt("f9", 1, 0, counts=False))
    await store.rollouts.doubt("globex", Doubt("f0", 1, 0, counts=False))
    assert await counted() == (3, 1)
    await store.rollouts.doubt("acme", Doubt("f2", 1, 1, counts=True))
    for late in (Doubt("f2", 1, 0, counts=False), Doubt("f1", 1, 1, counts=True)):
        await store.rollouts.doubt("acme", late)
    assert await counted() == (3, 2)
    await go(store.rollouts, known, S.ROLLED_BACK)
    second = await store.rollouts.start(rollout(rollout_id="rollout-2"))
    await go(store.rollouts, second, S.LOADING, S.PROBING, S.CANARY)
    await store.rollouts.observe([replace(one, rollout_id="rollout-2") for one in given])
    left = await store.rollouts.sums("acme", "rollout-2", 1, doubted=False)
    assert left["feedback.helpful", CANDIDATE].count == 3


async def test_times_before_the_canary_and_pairs_are_kept_once(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    known = await go(store.rollouts, known, S.LOADING, S.PROBING, S.SHADOW)
    await store.rollouts.observe([seen(known, "seconds", "a1", 2.5, CHAMPION)])
    assert list(await store.rollouts.seconds("acme", "rollout-1")) == [2.5]
    for outcome in (1, -1):
        await store.rollouts.pair("acme", "rollout-1", Pair("a1", outcome, {"valid": 1.0}))
    await store.rollouts.pair("acme", "rollout-1", Pair("a2", 0, {}))
    assert await store.rollouts.pairs("acme", "rollout-1") == Pairs(1, 1, 0)
    assert await store.rollouts.pairs("globex", "rollout-1") == Pairs()
    await go(store.rollouts, known, S.ROLLED_BACK)
    await store.rollouts.pair("acme", "rollout-1", Pair("a3", 0, {}))
    assert await store.rollouts.pairs("acme", "rollout-1") == Pairs()
    assert not await store.rollouts.seconds("acme", "rollout-1")


async def test_models_are_served_from_their_loading_to_their_draining(store: Store) -> None:
    known = await store.rollouts.start(rollout())
    known = await go(store.rollouts, known, S.LOADING)
    served = await store.rollouts.served(NOW, 30.0)
    assert (served.wanted, served.ready) == ({NEW, "gyre-reader"}, frozenset())
    known = await go(store.rollouts, known, S.PROBING)
    assert (await store.rollouts.served(NOW, 30.0)).ready == {NEW}
    await go(store.rollouts, known, S.ROLLED_BACK)
    assert (await store.rollouts.served(NOW, 30.0)).wanted == {NEW}
    gone = await store.rollouts.served(NOW + timedelta(seconds=31), 30.0)
    assert (gone.wanted, gone.known) == (frozenset(), {NEW})


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Kill:
    """Kills before or after the n-th call that has an effect; then every further call."""

    at: int
    after: bool
    calls: int = 0
    dead: bool = False

    async def around(self, call: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        self.check()
        self.calls += 1
        is_last = self.calls == self.at
        if is_last and not self.after:
            self.die()
        result = await call(*given)
        if is_last:
            self.die()
        return result

    def check(self) -> None:
        if self.dead:
            raise Killed

    def die(self) -> None:
        self.dead = True
        raise Killed


@dataclass
class Mortal:
    """A neighbour of a process that may be killed. effects: names of calls that count."""

    inner: Any
    kill: Kill
    effects: tuple[str, ...] = field(default=("change", "load", "place", "release", "take"))

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)
        if name == "write":
            return self._written
        if name not in self.effects:
            return call

        async def around(*given: Any) -> Any:
            return await self.kill.around(call, *given)

        return around

    async def _written(self, request: Any) -> Any:
        self.kill.check()
        async for piece in self.inner.write(request):
            yield piece


def mortal(whole: Hands, kill: Kill) -> Hands:
    return Hands(*(Mortal(one, kill) for one in vars(whole).values()))


async def nothing() -> None:
    """Nobody answers here."""


async def until_dead(store: Store, whole: Hands, kill: Kill) -> None:
    """A process works until it is killed, or the rollout is over."""
    driver = Driver(mortal(whole, kill), nothing, Patience(longest=1e12))
    for _ in range(12):
        if not await store.rollouts.running():
            return
        try:
            await work(driver)
        except Killed:
            await store.expire()
            return
        await judge(store.rollouts, await store.rollouts.get("acme", "rollout-1"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_rollout_goes_on_wherever_its_process_was_killed(
    store: Store, tmp_path: Path, after: bool
) -> None:
    """Each round begins a new rollout and kills its process one effect later."""
    at, killed = 1, True
    while killed:
        candidate = f"llm-{at}"
        models = frozenset({"gyre-reader"} | {f"llm-{n}" for n in range(1, at + 1)})
        whole = hands(store.rollouts, MemoryLanguageModel(models=models))
        known = rollout(
            candidate=candidate,
            champion=await store.rollouts.champion("acme", "gyre-reader") or "gyre-reader",
            model_uri="new",
            plan=replace(PLAN, gated=True),
        )
        await store.rollouts.start(known)
        kill = Kill(at, after)
        await until_dead(store, whole, kill)
        killed = kill.dead
        await until_dead(store, whole, Kill(0, after))
        ended = await store.rollouts.get("acme", "rollout-1")
        assert ended.state is S.PROMOTED, (at, ended.changes)
        assert len(ended.changes) == ended.number == 7
        assert ended.gate_id == "gate-1"
        assert await store.rollouts.champion("acme", "gyre-reader") == candidate
        said = await store.said()
        assert (said.count("ModelPromoted"), said.count("RolloutChanged")) == (at, 7 * at)
        assert isinstance(whole.server, MemoryModelServer)
        assert whole.server.loaded == {"gyre-reader": "READY", candidate: "READY"}
        await rename(store, f"rollout-1.{at}")
        at += 1
    assert at > 12


async def rename(store: Store, other: str) -> None:
    """Makes room for the next one of the same id."""
    if isinstance(store.rollouts, MemoryRollouts):
        known = store.rollouts.known.pop(("acme", "rollout-1"))
        store.rollouts.known["acme", other] = known
        experiments = store.rollouts.experiments.known
        experiments["acme", other] = experiments.pop(("acme", "rollout-1"))
        return
    assert store.database is not None
    async with store.database.transaction() as transaction:
        for table, column in (
            ("rollouts", "rollout_id"),
            ("experiments", "experiment_id"),
        ):
            statement = f"UPDATE {table} SET {column} = :other WHERE {column} = 'rollout-1'"
            await transaction.connection.execute(sa.text(statement), {"other": other})


async def test_a_rollout_that_was_taken_back_while_its_process_died_leaves_no_model(
    store: Store,
) -> None:
    whole = hands(store.rollouts, MemoryLanguageModel(models=frozenset({"gyre-reader", NEW})))
    await store.rollouts.start(rollout(model_uri="new"))
    driver = Driver(whole, nothing)
    await work(driver)
    loading = Kill(3, after=True)  # taken, placed, loaded
    await until_dead(store, whole, loading)
    assert loading.dead
    known = await store.rollouts.get("acme", "rollout-1")
    assert known.state is S.LOADING
    await store.rollouts.change(known, moved(known, S.ROLLED_BACK, "no", datetime.now(UTC)))
    own = frozenset({"gyre-reader"})
    reconciler = Reconciler(store.rollouts, whole.server, whole.shelf, own, drain=0.0)
    assert (await reconciler.look()).unloaded == (NEW,)
