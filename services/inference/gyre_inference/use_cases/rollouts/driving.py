"""Rollouts go on by themselves: each state has one deed, and a deed may be done again.

A process that is killed in the middle of one leaves the state as it was; whoever takes the rollout
next does the deed once more. Two that do it at once cannot both change the state.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from uuid_utils import uuid7

from gyre_inference.domain.faults import (
    Conflict,
    DeadlinePassed,
    Fault,
    Overloaded,
    Unavailable,
)
from gyre_inference.domain.generation import Message, ModelRequest, Parameters
from gyre_inference.domain.rollouts import (
    Evidence,
    Rollout,
    RolloutKind,
    RolloutState,
    Verdict,
    base_of,
    moved,
)
from gyre_inference.ports import LEASE, LanguageModel, ModelServer, ModelShelf, Rollouts
from gyre_inference.use_cases.rollouts.knowing import evidence_of, timed

_PASSING = (Unavailable, Overloaded, DeadlinePassed)
_PROBE = "Say in one short sentence that you are ready."
_TOKENS = 16
_S = RolloutState


@dataclass(frozen=True)
class Patience:
    """Seconds. look: between two looks at a rollout. trying: for which loading or probing may fail
    for a passing reason. gate: for which a gate's verdict is waited for. longest: in which a
    rollout has to come to its end."""

    look: float = 1.0
    trying: float = 600.0
    gate: float = 86_400.0
    longest: float = 14 * 86_400.0


@dataclass(frozen=True)
class Hands:
    """What the driver works with."""

    rollouts: Rollouts
    model: LanguageModel
    server: ModelServer
    shelf: ModelShelf


class Driver:
    """One in every process; each rollout is done by one of them at a time, and none waits for
    another one's loading."""

    def __init__(
        self,
        hands: Hands,
        changed: Callable[[], Awaitable[None]],
        patience: Patience | None = None,
        *,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """changed: told after every change. failed: is told why a deed failed; it is done again."""
        self._hands = hands
        self._rollouts = hands.rollouts
        self._changed = changed
        self._patience = patience or Patience()
        self._failed = failed
        self._holder = str(uuid7())
        self._doing: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception as error:  # the database is away: the next look finds it
                    self._failed(error)
                await asyncio.sleep(self._patience.look)
        finally:
            for task in self._doing.values():
                task.cancel()
            await asyncio.gather(*self._doing.values(), return_exceptions=True)

    async def look(self) -> list[asyncio.Task[None]]:
        """One deed for each rollout that nobody works at; those under way here."""
        for rollout in await self._rollouts.running():
            place = rollout.tenant, rollout.rollout_id
            if place not in self._doing:
                task = self._doing[place] = asyncio.create_task(self._held(*place))
                task.add_done_callback(lambda _, place=place: self._doing.pop(place, None))  # type: ignore[misc]
        return list(self._doing.values())

    async def _held(self, tenant: str, rollout_id: str) -> None:
        try:
            rollout = await self._rollouts.take(tenant, rollout_id, self._holder)
            if rollout is not None:
                async with self._renewed(rollout):
                    await self._do(rollout)
        except Exception as error:
            self._failed(error)

    @asynccontextmanager
    async def _renewed(self, rollout: Rollout) -> AsyncIterator[None]:
        place = rollout.tenant, rollout.rollout_id

        async def renew() -> None:
            await asyncio.sleep(LEASE / 3)
            while await self._rollouts.take(*place, self._holder):  # noqa: ASYNC110 - a lease
                await asyncio.sleep(LEASE / 3)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await renewing
            await self._rollouts.release(*place, self._holder)

    async def _do(self, rollout: Rollout) -> None:
        deed = {
            _S.REQUESTED: self._begin,
            _S.LOADING: self._load,
            _S.PROBING: self._probe,
            _S.GATING: self._wait,
            _S.SHADOW: self._weigh,
            _S.CANARY: self._weigh,
        }[rollout.state]
        try:
            await deed(rollout)
        except _PASSING as fault:
            await self._tried(rollout, fault)
        except Fault as fault:
            if rollout.state in (_S.LOADING, _S.PROBING):
                await self._back(rollout, fault.detail)
            else:
                await self._look_again(rollout, fault)

    async def _begin(self, rollout: Rollout) -> None:
        if rollout.kind is RolloutKind.MODEL:
            await self._move(rollout, _S.LOADING, "the model is loaded first")
        else:
            await self._show(rollout, "a prompt has nothing to load")

    async def _load(self, rollout: Rollout) -> None:
        name = base_of(rollout.candidate)
        if rollout.model_uri:
            await self._hands.shelf.place(name, rollout.model_uri)
        if (await self._hands.server.states()).get(name) != "READY":
            await self._hands.server.load(name)
        await self._move(rollout, _S.PROBING, "the model is loaded")

    async def _probe(self, rollout: Rollout) -> None:
        request = ModelRequest(
            model=rollout.candidate,
            messages=(Message("user", _PROBE),),
            parameters=Parameters(max_tokens=_TOKENS, temperature=0.0),
            tenant=rollout.tenant,
            request_id=f"{rollout.rollout_id}-probe",
            timeout=60.0,
        )
        tokens = 0
        async with aclosing(self._hands.model.write(request)) as pieces:
            async for piece in pieces:
                if piece.ending:
                    tokens = piece.ending.usage.output_tokens
        if not tokens:
            raise Conflict("the candidate wrote nothing when it was probed")
        await self._show(rollout, f"the candidate wrote {tokens} tokens when it was probed")

    async def _show(self, rollout: Rollout, reason: str) -> None:
        await self._move(rollout, _S.GATING if rollout.plan.gated else rollout.shown, reason)

    async def _wait(self, rollout: Rollout) -> None:
        word = await self._rollouts.gate(rollout.tenant, rollout.rollout_id)
        known = replace(rollout, gate_id=word.gate_id)
        if word.opens:
            await self._move(known, rollout.shown, word.told)
        elif word.opens is False:
            await self._back(known, word.told)
        elif word.decision is None and self._is_older(rollout.since, self._patience.gate):
            await self._back(rollout, "no gate came to a verdict in the time it may take")
        elif self._is_older(rollout.start, self._patience.longest):
            await self._back(known, "nobody approved what the gate passed in the time it may take")

    async def _weigh(self, rollout: Rollout) -> None:
        evidence = await evidence_of(self._rollouts, rollout)
        assert evidence is not None
        if evidence.verdict is Verdict.WORSE:
            await self._back(rollout, f"worse: {evidence.told}", evidence)
        elif self._is_older(rollout.start, self._patience.longest):
            await self._back(rollout, "too few judgements in the time it may take", evidence)
        elif evidence.verdict is Verdict.NOT_WORSE and not rollout.attended:
            await self._go_on(rollout, evidence)

    async def _go_on(self, rollout: Rollout, evidence: Evidence) -> None:
        reason = f"not worse: {evidence.told}"
        done = rollout.state is _S.CANARY and rollout.is_last_step
        state = _S.PROMOTED if done else _S.CANARY
        await self._move(await timed(self._rollouts, rollout), state, reason, evidence)

    async def _tried(self, rollout: Rollout, fault: Fault) -> None:
        loading = rollout.state in (_S.LOADING, _S.PROBING)
        if loading and self._is_older(rollout.since, self._patience.trying):
            await self._back(rollout, f"given up: {fault.detail}")
        else:
            self._failed(fault)

    async def _look_again(self, rollout: Rollout, fault: Fault) -> None:
        """Whoever changed the rollout meanwhile was first; else what it is to replace changed."""
        now = await self._rollouts.get(rollout.tenant, rollout.rollout_id)
        if now.number == rollout.number:
            await self._back(now, fault.detail)

    async def _back(self, rollout: Rollout, reason: str, evidence: Evidence | None = None) -> None:
        await self._move(rollout, _S.ROLLED_BACK, reason, evidence)

    async def _move(
        self,
        rollout: Rollout,
        state: RolloutState,
        reason: str,
        evidence: Evidence | None = None,
    ) -> None:
        after = moved(rollout, state, reason, datetime.now(UTC), evidence=evidence)
        await self._rollouts.change(rollout, after)
        await self._changed()

    def _is_older(self, time: datetime, seconds: float) -> bool:
        return (datetime.now(UTC) - time).total_seconds() > seconds
