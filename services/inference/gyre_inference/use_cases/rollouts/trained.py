"""A trained model is rolled out by itself, as soon as its place is free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from gyre_inference.domain.faults import Conflict, InvalidRequest
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.registry import refuse
from gyre_inference.domain.rollouts import Plan, rollout_violations
from gyre_inference.domain.wishes import TrainedModel, Wish, wish_for
from gyre_inference.ports import Rollouts


class RollOutTrained:
    """Hearing only notes the wish; whoever looks next starts it, as often as it takes. Of two for
    one name the newer one counts, and one training has one rollout, whoever looks."""

    def __init__(
        self,
        rollouts: Rollouts,
        policy: Policy,
        plan: Plan,
        changed: Callable[[], Awaitable[None]],
        *,
        pause: float = 1.0,
        told: Callable[[str, str], None] = lambda model, why: None,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """plan: gated, as nobody has looked at the model. pause: seconds between two looks.
        told: why a model is not rolled out. failed: is told why a look failed."""
        self._rollouts = rollouts
        self._policy = policy
        self._plan = plan
        self._changed = changed
        self._pause = pause
        self._told = told
        self._failed = failed

    async def heard(self, tenant: str, trained: TrainedModel) -> None:
        """Durable when it returns; may be repeated."""
        wish = wish_for(tenant, trained)
        if trained.name not in self._policy.models:
            self._told(wish.model, "no model of that name is offered")
        elif not await self._rollouts.wish(wish):
            self._told(wish.model, "a newer one, or itself, was heard of before")

    async def look(self) -> None:
        """Starts every wish whose place is free."""
        for wish in await self._rollouts.wishes():
            await self._start(wish)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # the database is away: the next look finds it
                self._failed(error)
            await asyncio.sleep(self._pause)

    async def _start(self, wish: Wish) -> None:
        champion = await self._rollouts.champion(wish.tenant, wish.name) or wish.name
        rollout = wish.rollout(champion, self._plan, datetime.now(UTC))
        try:
            refuse(rollout_violations(rollout))
            await self._rollouts.start(rollout)
        except Conflict:  # its place is taken: it waits
            return
        except InvalidRequest as fault:  # e.g. what is in force has that very content
            self._told(wish.model, fault.detail)
        await self._rollouts.fulfilled(wish)
        await self._changed()
