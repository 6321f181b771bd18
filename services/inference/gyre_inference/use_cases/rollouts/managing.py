"""What people do with rollouts: start, look, promote, abort."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from uuid_utils import uuid7

from gyre_inference.domain.faults import Conflict, InvalidRequest, NotFound
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.registry import message_violations, refuse
from gyre_inference.domain.rollouts import (
    PREFIX,
    Evidence,
    Plan,
    Rollout,
    RolloutKind,
    RolloutState,
    moved,
    rollout_id_of,
    rollout_violations,
    started_before,
)
from gyre_inference.ports import Rollouts
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.rollouts.knowing import evidence_of, timed

_OWN = ("answer", "generate")
_LOOK = 0.5
_TRIES = 20


@dataclass(frozen=True)
class Wanted:
    """What shall be rolled out; see the contract's `StartRolloutRequest`."""

    kind: RolloutKind
    name: str
    candidate: str
    workload: str = "answer"
    model_uri: str = ""
    plan: Plan = field(default_factory=Plan)
    message: str = ""
    model: str = ""
    creation_key: str = ""


@dataclass(frozen=True)
class Known:
    """A rollout and what is known of it now."""

    rollout: Rollout
    evidence: Evidence | None


class _Changed(Conflict):
    """Somebody else changed the rollout meanwhile."""


class ManageRollouts:
    """changed: told after every change, so that it is in force in this process at once."""

    def __init__(
        self,
        rollouts: Rollouts,
        in_force: InForce,
        policy: Policy,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._rollouts = rollouts
        self._in_force = in_force
        self._policy = policy
        self._changed = changed

    async def start(self, tenant: str, wanted: Wanted, author: str) -> Rollout:
        """On its way when it returns: the door for people, and for a gate that passed a model.

        With a creation key that was used before, the one that it started. Raises `InvalidRequest`,
        `NotFound` for what is named and not there, `Conflict` while another one runs for the
        name, or an experiment for the workload.
        """
        rollout_id = f"{PREFIX}{uuid7()}"
        if wanted.creation_key:
            rollout_id = rollout_id_of(tenant, wanted.creation_key)
            with contextlib.suppress(NotFound):  # its champion may have changed since
                return await self._again(tenant, rollout_id, wanted)
        if wanted.workload not in _OWN:
            await self._in_force.chain(tenant, wanted.workload)
        found = self._prompt if wanted.kind is RolloutKind.PROMPT else self._model
        name, champion, candidate = await found(tenant, wanted)
        rollout = Rollout(
            rollout_id=rollout_id,
            tenant=tenant,
            kind=wanted.kind,
            name=name,
            champion=champion,
            candidate=candidate,
            start=datetime.now(UTC),
            workload=wanted.workload,
            model_uri=wanted.model_uri,
            plan=wanted.plan,
            author=author,
            message=wanted.message,
            attended=wanted.plan.attended,
            model=wanted.model,
            creation_key=wanted.creation_key,
        )
        refuse(rollout_violations(rollout))
        started = await self._rollouts.start(rollout)
        await self._changed()
        return started

    async def get(self, tenant: str, rollout_id: str) -> Known:
        """Raises `NotFound`."""
        rollout = await self._rollouts.get(tenant, rollout_id)
        if rollout.state is RolloutState.GATING:  # so that whoever approves finds the gate
            word = await self._rollouts.gate(tenant, rollout_id)
            rollout = replace(rollout, gate_id=word.gate_id)
        return Known(rollout, await evidence_of(self._rollouts, rollout))

    async def list(self, tenant: str, running: bool, offset: int, limit: int) -> Sequence[Rollout]:
        """Newest first."""
        return await self._rollouts.list(tenant, running, offset, limit)

    async def watch(self, tenant: str, rollout_id: str) -> AsyncGenerator[Known]:
        """Again whenever something changed, until it is over. Raises `NotFound`."""
        last = None
        while True:
            known = await self.get(tenant, rollout_id)
            if known != last:
                yield known
            if known.rollout.is_over:
                return
            last = known
            await asyncio.sleep(_LOOK)

    async def promote(
        self, tenant: str, rollout_id: str, author: str, reason: str, *, fully: bool
    ) -> Rollout:
        """A person's decision: from here on the service alone only takes back. Raises `NotFound`,
        `Conflict` before the candidate was probed, and where something changed meanwhile."""
        refuse(message_violations(reason))
        before = await self._rollouts.get(tenant, rollout_id)
        if before.state not in (RolloutState.SHADOW, RolloutState.CANARY):
            raise Conflict(f"a rollout that is {before.state.value} cannot be promoted")
        last = before.state is RolloutState.CANARY and before.is_last_step
        state = RolloutState.PROMOTED if fully or last else RolloutState.CANARY
        return await self._moved(before, state, author, reason or "decided by a person")

    async def abort(self, tenant: str, rollout_id: str, author: str, reason: str) -> Rollout:
        """The champion is in force in this process when it returns; elsewhere within a second.
        Raises `NotFound`, `Conflict` where the champion of before is no longer kept."""
        refuse(message_violations(reason))
        for _ in range(_TRIES):  # it goes on by itself meanwhile: the person's word is the last
            with contextlib.suppress(_Changed):
                return await self._aborted(tenant, rollout_id, author, reason)
        raise Conflict(f"the rollout {rollout_id} changes all the time: try again")

    async def _aborted(self, tenant: str, rollout_id: str, author: str, reason: str) -> Rollout:
        before = await self._rollouts.get(tenant, rollout_id)
        if before.state is RolloutState.ROLLED_BACK:
            return before
        promoted = before.state is RolloutState.PROMOTED
        if promoted and not before.keeps_champion(datetime.now(UTC)):
            raise Conflict(f"{before.champion!r} is no longer kept: roll it out anew")
        return await self._moved(
            before, RolloutState.ROLLED_BACK, author, reason or "aborted by a person"
        )

    async def _moved(
        self, before: Rollout, state: RolloutState, author: str, reason: str
    ) -> Rollout:
        evidence = await evidence_of(self._rollouts, before)
        now = datetime.now(UTC)
        known = await timed(self._rollouts, before)
        after = moved(known, state, reason, now, author=author, evidence=evidence)
        try:
            changed = await self._rollouts.change(before, replace(after, attended=True))
        except Conflict as fault:
            if (await self._rollouts.get(before.tenant, before.rollout_id)).number == before.number:
                raise
            raise _Changed(fault.detail) from fault
        await self._changed()
        return changed

    async def _again(self, tenant: str, rollout_id: str, wanted: Wanted) -> Rollout:
        known = await self._rollouts.get(tenant, rollout_id)
        candidate = wanted.candidate if wanted.kind is RolloutKind.MODEL else known.candidate
        key = wanted.creation_key
        asked = replace(known, kind=wanted.kind, candidate=candidate, creation_key=key)
        return started_before(known, asked)

    async def _model(self, tenant: str, wanted: Wanted) -> tuple[str, str, str]:
        name = wanted.name or self._policy.model
        if name not in self._policy.models:
            raise NotFound(f"no model {name!r} is offered")
        champion = await self._rollouts.champion(tenant, name) or name
        return name, champion, wanted.candidate

    async def _prompt(self, tenant: str, wanted: Wanted) -> tuple[str, str, str]:
        if not wanted.name or not wanted.candidate:
            raise InvalidRequest({"name": "prompt and version are needed"})
        champion = await self._in_force.prompt(tenant, wanted.name)
        candidate = await self._in_force.prompt(tenant, wanted.name, wanted.candidate)
        if wanted.workload == "answer" and candidate.content.grounding is None:
            told = f"{wanted.name!r} has no grounding: it is not for answers"
            raise InvalidRequest({"candidate": told})
        return wanted.name, champion.version, candidate.version
