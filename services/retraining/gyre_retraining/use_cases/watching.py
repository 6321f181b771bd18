"""Trainings as callers see them: listed, followed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from gyre_retraining.domain.trainings import Plan, Training
from gyre_retraining.ports import Recipes, Trainings

WATCH_PAUSE = 0.3


class WatchTrainings:
    """Every method that names a training raises `TrainingUnknown`. call: wakes whoever works on
    trainings."""

    def __init__(self, trainings: Trainings, recipes: Recipes, call: Callable[[], None]) -> None:
        self._trainings = trainings
        self._recipes = recipes
        self._call = call

    def recipes(self) -> list[Plan]:
        """By name."""
        return self._recipes.all()

    async def get(self, tenant: str, training_id: str) -> Training:
        return await self._trainings.get(tenant, training_id)

    async def page(self, tenant: str, recipe: str, limit: int, before: str) -> list[Training]:
        """Newest first."""
        return await self._trainings.page(tenant, recipe, limit=limit, before=before)

    async def cancel(self, tenant: str, training_id: str, by: str, reason: str) -> Training:
        """One that has ended, or is being registered, stays as it is; a job takes a moment to
        end."""
        detail = f"cancelled by {by}: {reason}" if reason else f"cancelled by {by}"
        training = await self._trainings.cancel(tenant, training_id, detail)
        self._call()
        return training

    async def watch(self, tenant: str, training_id: str) -> AsyncIterator[Training]:
        """The training now, and after each change until it ends."""
        last: Training | None = None
        while last is None or not last.state.ended:
            training = await self._trainings.get(tenant, training_id)
            if training != last:
                yield training
                last = training
            else:
                await asyncio.sleep(WATCH_PAUSE)
