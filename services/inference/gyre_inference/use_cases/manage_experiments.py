"""Experiments are started, listed and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gyre_inference.domain.allocation import Weighing
from gyre_inference.domain.experiments import Experiment, Variant, experiment_violations
from gyre_inference.domain.faults import Conflict, InvalidRequest, NotFound
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.registry import refuse
from gyre_inference.domain.rollouts import PREFIX
from gyre_inference.ports import Experiments
from gyre_inference.use_cases.in_force import InForce

_OWN = ("answer", "generate")
_WEIGHINGS = 200


@dataclass(frozen=True)
class KnownExperiment:
    """known: None without an allocation. weighings: newest first."""

    experiment: Experiment
    known: Weighing | None
    weighings: Sequence[Weighing]


class ManageExperiments:
    """What people do with experiments."""

    def __init__(
        self,
        experiments: Experiments,
        in_force: InForce,
        policy: Policy,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._experiments = experiments
        self._in_force = in_force
        self._policy = policy
        self._changed = changed

    async def start(self, tenant: str, experiment: Experiment) -> Experiment:
        """In force in this process when it returns. Raises `InvalidRequest`, `NotFound` for what a
        variant names and is not there, `Conflict`."""
        refuse(experiment_violations(experiment))
        _refuse_rollouts(experiment.experiment_id)
        if experiment.workload not in _OWN:
            await self._in_force.chain(tenant, experiment.workload)
        for place, variant in enumerate(experiment.variants):
            await self._find(tenant, experiment.workload, place, variant)
        started = await self._experiments.start(tenant, experiment)
        await self._changed()
        return started

    async def stop(self, tenant: str, experiment_id: str, author: str) -> Experiment:
        """Shapes no further answer of this process when it returns. Raises `NotFound`, `Conflict`
        for one that belongs to a rollout."""
        _refuse_rollouts(experiment_id)
        stopped = await self._experiments.stop(tenant, experiment_id, author)
        await self._changed()
        return stopped

    async def get(self, tenant: str, experiment_id: str) -> KnownExperiment:
        """With what judgements say, at the shares in force. Raises `NotFound`."""
        one = await self._experiments.get(tenant, experiment_id)
        known = None if one.allocation is None else one.weighing
        if one.allocation is not None and one.stop is None:
            sums = await self._experiments.sums(tenant, experiment_id)
            known = await asyncio.to_thread(one.known, sums, datetime.now(UTC))
        weighings = await self._experiments.weighings(tenant, experiment_id, _WEIGHINGS)
        return KnownExperiment(one, known, weighings)

    async def list(
        self, tenant: str, running: bool, offset: int, limit: int
    ) -> Sequence[Experiment]:
        """Newest first."""
        return await self._experiments.list(tenant, running, offset, limit)

    async def _find(self, tenant: str, workload: str, place: int, variant: Variant) -> None:
        name = variant.prompt_name
        if name:
            prompt = await self._in_force.prompt(tenant, name, variant.prompt_version)
            if workload == "answer" and prompt.content.grounding is None:
                told = f"{name!r} has no grounding: it is not for answers"
                raise InvalidRequest({f"variants[{place}].prompt_name": told})
        if variant.model and variant.model not in self._policy.models:
            raise NotFound(f"no model {variant.model!r} is offered")


def _refuse_rollouts(experiment_id: str) -> None:
    if experiment_id.startswith(PREFIX):
        raise Conflict(f"{experiment_id!r} belongs to a rollout: promote or abort that")
