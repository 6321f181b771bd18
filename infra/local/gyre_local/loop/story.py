"""The turns of the loop, told on a console: promoted, refused, rolled back, too little data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from gyre_client import Gyre
from gyre_client.cli.uploads import ingest_files
from gyre_client.gates import Gate
from gyre_client.indexes import Reindex
from gyre_client.training import Training
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.rule import Rule

from gyre_local.loop.material import Asked, Material
from gyre_local.loop.people import HELPFUL, USEFUL, Manner, People
from gyre_local.loop.setting import policy
from gyre_local.loop.table import Turn, gate_told

EMBEDDING, LANGUAGE = "loop-embedding", "loop-language"
LOOK = 0.5
PATIENCE = 600.0
OVER = ("PROMOTED", "ROLLED_BACK")


class LoopError(RuntimeError):
    """Something did not happen; the message says what was waited for."""


@dataclass
class Stage:
    """Where it is told, and what became of each candidate. patience: seconds for which a step of
    the platform is waited for."""

    console: Console
    patience: float = PATIENCE
    turns: list[Turn] = field(default_factory=list)

    def act(self, title: str, *lines: str) -> None:
        self.console.print(Rule(title, style="bold"))
        self.say(*lines)

    def say(self, *lines: str) -> None:
        for line in lines:
            self.console.print(line, markup=False)

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Callable[..., None]]:
        """Gives a function that moves it: `(by)`, or `completed=`, `total=`, `note=`."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(title, total=total, note="")

            def move(by: float = 0, **changed: Any) -> None:
                progress.update(task, advance=by or None, **changed)

            yield move

    @contextmanager
    def timed(self, turn: Turn, step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        turn.seconds[step] = turn.seconds.get(step, 0.0) + time.monotonic() - began


@dataclass(frozen=True)
class Company:
    """A tenant: its client, its people, and what they ask."""

    gyre: Gyre
    people: People
    material: Material
    collection: str

    @property
    def manner_told(self) -> str:
        return f"{self.people.name}: {self.people.given} judgements"


# --- before ---------------------------------------------------------------------------------------


async def set_up(stage: Stage, company: Company) -> None:
    """Articles, metrics, the questions that are held back, and what gates ask."""
    gyre, material = company.gyre, company.material
    documents = await ingest_files(gyre, material.files, company.collection)
    places = {one.source_uri: one.document_id for one in documents}
    for metric in (HELPFUL, USEFUL):
        await gyre.feedback.declare(metric)
    searches = [_search_example(one, places) for one in material.held_back]
    await gyre.evaluation.upload_dataset("held-back-passages", searches)
    answers = [_answer_example(one) for one in material.answered]
    await gyre.evaluation.upload_dataset("held-back-answers", answers)
    for name in ("search", "answer"):
        await gyre.gates.declare(policy(name))


def _search_example(asked: Asked, places: Mapping[str, str]) -> dict[str, object]:
    sources = {gold.source for gold in asked.gold}
    relevant = [document for name, document in places.items() if name in sources]
    return {"question": asked.question, "relevant_ids": relevant, "language": asked.language}


def _answer_example(asked: Asked) -> dict[str, object]:
    references = [asked.reference] if asked.reference else []
    return {"question": asked.question, "references": references, "language": asked.language}


async def judged(stage: Stage, company: Company, manner: Manner) -> None:
    """Everybody asks what may be learnt from, and judges."""
    questions = company.material.learn
    with stage.bar(f"{company.people.name}: questions asked and judged", len(questions)) as move:
        await company.people.judge_all(questions, manner, lambda: move(1))
    rated = company.material.rated if manner is Manner.CAREFUL else ()
    if rated:
        with stage.bar(f"{company.people.name}: two people's ratings", len(rated)) as move:
            await company.people.rate_all(rated, lambda: move(1))


# --- training -------------------------------------------------------------------------------------


async def trained(
    stage: Stage,
    company: Company,
    recipe: str,
    turn: Turn,
    overrides: Mapping[str, str] | None = None,
) -> Training:
    """At its end, whatever that is. overrides: values of the recipe by their path."""
    with stage.timed(turn, "training"), stage.bar(f"training {recipe}", None) as move:
        started = await company.gyre.training.start(recipe, reason="make loop", overrides=overrides)
        last = started
        async for last in company.gyre.training.watch(started.training_id):
            loss = "" if last.loss is None else f"loss {last.loss:.3f}"
            move(completed=last.step, total=last.steps or None, note=f"{last.state} {loss}")
    if last.state == "succeeded":
        dataset = await company.gyre.training.dataset(last.dataset_id)
        left_out = ", ".join(f"{name} {count}" for name, count in dataset.filters.items() if count)
        turn.candidate = last.model
        turn.learnt_from = f"{dataset.rows.get('train', 0)} rows; left out: {left_out or 'none'}"
        stage.say(f"  {last.model}: {turn.learnt_from}; {last.peak_memory_bytes / 1e9:.1f} GB")
    return last


async def not_trained(stage: Stage, company: Company) -> None:
    """A training with too little data."""
    stage.act(
        "too little data",
        f"Nobody judged anything yet. A training is wanted: gyre train start {EMBEDDING}",
    )
    turn = Turn("none", "nothing")
    last = await trained(stage, company, EMBEDDING, turn)
    if last.state != "failed":
        raise LoopError(f"a training without data came to {last.state}")
    turn.outcome, turn.why = "not trained", f"{last.reason}: {last.detail}"
    stage.say(f"  {turn.why}. Nothing changed.")
    stage.turns.append(turn)


# --- an embedding model ---------------------------------------------------------------------------


async def embedding_turn(
    stage: Stage, company: Company, turn: Turn, overrides: Mapping[str, str] | None = None
) -> Turn:
    """Trained, put on the model server, indexed, gated, switched to or not: by itself."""
    stage.turns.append(turn)
    before = {one.reindex_id async for one in company.gyre.indexes.list()}
    last = await trained(stage, company, EMBEDDING, turn, overrides)
    if last.state != "succeeded":
        raise LoopError(f"the training {last.state}: {last.reason} {last.detail}")
    with stage.timed(turn, "server"), stage.bar("put on the model server", None):
        index = await _new_index(stage, company, before)
    stage.say(f"  follow it: gyre index show {index.reindex_id}")
    with stage.timed(turn, "index"), stage.bar("index filled", index.chunks_total or None) as move:
        while index.state == "filling":
            await asyncio.sleep(LOOK)
            index = await company.gyre.indexes.get(index.reindex_id)
            move(
                completed=index.chunks_done,
                total=index.chunks_total or None,
                note=index.detail,
            )
    with stage.timed(turn, "gate"), stage.bar("compared on held-back questions", None) as move:
        async with asyncio.timeout(stage.patience):
            while index.state == "ready":
                await asyncio.sleep(LOOK)
                move(**_how_far(await _gate_of(company, "search", index.reindex_id)))
                index = await company.gyre.indexes.get(index.reindex_id)
    turn.gate = gate_told(await _gate_of(company, "search", index.reindex_id))
    turn.outcome = "promoted" if index.state in ("switched", "ended") else "refused"
    turn.why = index.detail or index.reason
    stage.say(*(f"  {line}" for line in turn.gate.splitlines()), f"  {index.state}: {turn.why}")
    return turn


async def _new_index(stage: Stage, company: Company, before: set[str]) -> Reindex:
    async with asyncio.timeout(stage.patience):
        while True:
            async for one in company.gyre.indexes.list():
                if one.reindex_id not in before:
                    return one
            await asyncio.sleep(LOOK)


async def _gate_of(company: Company, workload: str, cause: str) -> Gate | None:
    """The one that the rollout or the reindexing waits for; None before it has begun."""
    found = [one for one in await company.gyre.gates.list(workload) if one.cause == cause]
    return await company.gyre.gates.get(found[0].gate_id) if found else None


def _how_far(gate: Gate | None) -> dict[str, int]:
    return {"completed": gate.done, "total": gate.examples} if gate and gate.examples else {}


# --- a language model -----------------------------------------------------------------------------


async def language_turn(
    stage: Stage, company: Company, turn: Turn, overrides: Mapping[str, str] | None = None
) -> tuple[Turn, Mapping[str, Any]]:
    """Trained, gated, shadow, canary, promoted or not: by itself."""
    stage.turns.append(turn)
    before = {one["rollout_id"] async for one in company.gyre.rollouts.list()}
    last = await trained(stage, company, LANGUAGE, turn, overrides)
    if last.state != "succeeded":
        raise LoopError(f"the training {last.state}: {last.reason} {last.detail}")
    rollout = await _new_rollout(stage, company, before)
    return turn, await rolled_out(stage, company, turn, rollout)


async def rolled_out(
    stage: Stage, company: Company, turn: Turn, rollout: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Followed to its end; users ask as soon as they may be answered by the candidate."""
    stage.say(f"  follow it: gyre rollout watch {rollout['rollout_id']}")
    async with asyncio.timeout(stage.patience * 2), _followed(company, rollout) as seen:
        with stage.timed(turn, "gate"), stage.bar("loaded and compared by the gate", None) as move:
            while seen.state in ("REQUESTED", "LOADING", "PROBING", "GATING"):
                gate = await _gate_of(company, "answer", rollout["rollout_id"])
                move(note=seen.state.lower(), **_how_far(gate))
                await asyncio.sleep(LOOK)
        turn.gate = gate_told(await _gate_of(company, "answer", rollout["rollout_id"]))
        stage.say(*(f"  {line}" for line in turn.gate.splitlines()))
        if seen.state not in OVER:
            await _with_users(stage, company, turn, seen)
    ended = seen.rollout
    change = ended["changes"][-1]
    turn.shadow, turn.canary = _shadow_told(ended), _canary_told(ended)
    turn.outcome = {"PROMOTED": "promoted"}.get(
        ended["state"], "rolled back" if turn.canary or turn.shadow else "refused"
    )
    turn.why = change.get("reason", "")
    stage.say(f"  {ended['state'].lower()}: {turn.why}")
    return ended


async def _with_users(stage: Stage, company: Company, turn: Turn, seen: _Seen) -> None:
    company.people.asked = company.people.good = 0
    users = asyncio.create_task(
        company.people.use(company.material.answered, lambda: seen.state in OVER)
    )
    try:
        for state, step in (("SHADOW", "shadow"), ("CANARY", "canary")):
            with stage.timed(turn, step), stage.bar(f"users: {step}", None) as move:
                while seen.state == state and not users.done():
                    move(completed=company.people.asked, note=_now(seen.rollout))
                    await asyncio.sleep(LOOK)
            stage.say(f"  {step}: {_now(seen.rollout)}") if seen.state in OVER else None
        await users
    finally:
        users.cancel()


@dataclass
class _Seen:
    rollout: Mapping[str, Any]

    @property
    def state(self) -> str:
        return str(self.rollout["state"])


@asynccontextmanager
async def _followed(company: Company, rollout: Mapping[str, Any]) -> AsyncIterator[_Seen]:
    """What the rollout is now, always new."""
    seen = _Seen(rollout)

    async def follow() -> None:
        while seen.state not in OVER:
            seen.rollout = await company.gyre.rollouts.get(rollout["rollout_id"])
            await asyncio.sleep(LOOK)

    following = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        following.cancel()


async def _new_rollout(stage: Stage, company: Company, before: set[str]) -> Mapping[str, Any]:
    async with asyncio.timeout(stage.patience):
        while True:
            async for one in company.gyre.rollouts.list():
                if one["rollout_id"] not in before:
                    return one
            await asyncio.sleep(LOOK)


def _now(rollout: Mapping[str, Any]) -> str:
    evidence = rollout.get("evidence") or _last_evidence(rollout, str(rollout["state"]))
    return _evidence(evidence)


def _evidence(evidence: Mapping[str, Any] | None) -> str:
    parts = []
    for one in (evidence or {}).get("metrics", ()):
        if one["metric"] in ("answered", "in_time"):
            continue
        champion, candidate = (
            float(one.get(f"{arm}_mean", 0)) for arm in ("champion", "candidate")
        )
        counts = "/".join(str(one.get(f"{arm}_count", 0)) for arm in ("champion", "candidate"))
        parts.append(f"{one['metric']} {champion:.2f} and {candidate:.2f} of {counts}")
    return ", ".join(parts)


def _last_evidence(rollout: Mapping[str, Any], state: str) -> Mapping[str, Any] | None:
    found = [one["evidence"] for one in rollout["changes"] if one.get("evidence")]
    return found[-1] if found else None


def _shadow_told(rollout: Mapping[str, Any]) -> str:
    return "\n".join(_told_from(rollout, "SHADOW"))


def _canary_told(rollout: Mapping[str, Any]) -> str:
    return "\n".join(_told_from(rollout, "CANARY"))


def _told_from(rollout: Mapping[str, Any], state: str) -> list[str]:
    """What was known at each transition out of the state."""
    return [
        _evidence(one.get("evidence")) or str(one.get("reason", ""))
        for one in rollout["changes"]
        if one.get("from_state") == state
    ]
