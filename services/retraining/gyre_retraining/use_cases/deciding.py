"""Somebody, or something, wants a training: is there one?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gyre_retraining.domain.trainings import Plan, Training, Trigger, TriggerKind
from gyre_retraining.domain.triggers import (
    ANY,
    Decision,
    Policy,
    TrainingRefused,
    Wish,
    drift_cause,
    judgements_cause,
    policy_of,
    schedule_cause,
)
from gyre_retraining.ports import Clock, Datasets, JudgementCounts, Recipes, Trainings


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for. request_id: the cause. dataset_id: empty assembles one."""

    tenant: str
    principal: str
    recipe: str
    request_id: str
    reason: str
    overrides: Mapping[str, str]
    dataset_id: str = ""


class DecideOnTrainings:
    """Every door to a training. decided: told of every decision that is not a repeated one.

    call: wakes whoever works on trainings. new_id: ids that grow with time.
    """

    def __init__(
        self,
        trainings: Trainings,
        recipes: Recipes,
        datasets: Datasets,
        judgements: JudgementCounts,
        policies: Sequence[Policy],
        clock: Clock,
        *,
        new_id: Callable[[], str],
        call: Callable[[], None],
        decided: Callable[[Decision], None],
    ) -> None:
        self._trainings = trainings
        self._recipes = recipes
        self._datasets = datasets
        self._judgements = judgements
        self._policies = policies
        self._clock = clock
        self._new_id = new_id
        self._call = call
        self._decided = decided

    async def ask(self, asked: Asked) -> Training:
        """The same request id again is the same training. Raises `RecipeUnknown`, `RecipeInvalid`,
        `DatasetUnknown` and `TrainingRefused`."""
        plan = self._recipes.plan(asked.recipe, asked.overrides)
        if asked.dataset_id:
            await self._datasets.find(asked.tenant, asked.dataset_id)
        cause = f"person/{asked.request_id}"
        trigger = Trigger(TriggerKind.PERSON, cause, asked.reason, asked.principal)
        policy = policy_of(self._policies, asked.tenant, asked.recipe)
        training = self._training(asked.tenant, plan, trigger, asked.dataset_id)
        wish = Wish(training, policy, await self.heard(policy, asked.tenant))
        (decision,) = await self.decide([wish])
        if not decision.verdict.accepted:
            raise TrainingRefused(decision.verdict.reason, decision.verdict.detail)
        return await self._trainings.get(asked.tenant, decision.training_id)

    async def drifted(
        self, tenant: str, drift_id: str, scope: str, findings: Sequence[str]
    ) -> None:
        """Live traffic moved. To be called by a handler: all is one transaction."""
        reason = f"traffic of {scope} drifted: {', '.join(findings[:3])}"
        cause = drift_cause(drift_id)
        concerned = [
            one
            for one in self._policies
            if one.drift and policy_of(self._policies, tenant, one.recipe) is one
        ]
        wishes = [
            await self.wish(one, tenant, TriggerKind.DRIFT, cause, reason) for one in concerned
        ]
        await self.decide(wishes)

    async def wish(
        self, policy: Policy, tenant: str, kind: TriggerKind, cause: str, reason: str
    ) -> Wish:
        plan = self._recipes.plan(policy.recipe, {})
        trigger = Trigger(kind, cause, reason, policy.name)
        heard = await self.heard(policy, tenant)
        return Wish(self._training(tenant, plan, trigger), policy, heard)

    async def heard(self, policy: Policy | None, tenant: str) -> int:
        """Judgements, as the policy counts them."""
        if policy is None or not policy.minimum_judgements:
            return 0
        return await self._judgements.count(tenant, policy.metrics)

    async def decide(self, wishes: Sequence[Wish]) -> list[Decision]:
        decisions = await self._trainings.decide(wishes)
        for decision in decisions:
            if not decision.repeated:
                self._decided(decision)
        if any(one.verdict.accepted and not one.repeated for one in decisions):
            self._call()
        return decisions

    def _training(
        self, tenant: str, plan: Plan, trigger: Trigger, dataset_id: str = ""
    ) -> Training:
        return Training(
            training_id=self._new_id(),
            tenant=tenant,
            plan=plan,
            trigger=trigger,
            request_time=self._clock(),
            dataset_id=dataset_id,
        )


class LookForReasons:
    """Looks from time to time whether there are enough new judgements, or it is time.

    Several processes may look at once: a cause has one training. failed: told of what should not
    happen; the work goes on.
    """

    def __init__(
        self,
        deciding: DecideOnTrainings,
        trainings: Trainings,
        judgements: JudgementCounts,
        policies: Sequence[Policy],
        clock: Clock,
        *,
        pause: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._deciding = deciding
        self._trainings = trainings
        self._judgements = judgements
        self._policies = policies
        self._clock = clock
        self._pause = pause
        self._failed = failed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # the store may be away for a moment
                self._failed(error)
            await asyncio.sleep(self._pause)

    async def look(self) -> None:
        """Once. A tenant of its own policy is left out where `*` speaks."""
        tenants = await self._judgements.tenants()
        for policy in self._policies:
            for tenant in tenants if policy.tenant == ANY else [policy.tenant]:
                if policy_of(self._policies, tenant, policy.recipe) is policy:
                    await self._look(policy, tenant)

    async def _look(self, policy: Policy, tenant: str) -> None:
        if policy.minimum_judgements:
            await self._judged(policy, tenant)
        if policy.every is not None:
            await self._due(policy, tenant)

    async def _judged(self, policy: Policy, tenant: str) -> None:
        before = await self._trainings.watermark(tenant, policy.recipe)
        new = await self._deciding.heard(policy, tenant) - before
        if new >= policy.minimum_judgements:
            reason = f"{new} new judgements; {policy.name} asks for {policy.minimum_judgements}"
            cause = judgements_cause(policy, before)
            await self._want(policy, tenant, TriggerKind.JUDGEMENTS, cause, reason)

    async def _due(self, policy: Policy, tenant: str) -> None:
        cause = schedule_cause(policy, self._clock())
        reason = f"{policy.name} trains every {policy.every}"
        await self._want(policy, tenant, TriggerKind.SCHEDULE, cause, reason)

    async def _want(
        self, policy: Policy, tenant: str, kind: TriggerKind, cause: str, reason: str
    ) -> None:
        await self._deciding.decide(
            [await self._deciding.wish(policy, tenant, kind, cause, reason)]
        )
