"""Judgements whose answer does not come are given up, and texts are forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gyre_feedback.ports import Clock, Judgements

_LIMIT = 100


@dataclass(frozen=True)
class Patience:
    """Seconds. wait: for an answer. keep: an answer's text. pause: between rounds."""

    wait: float
    keep: float
    pause: float


class GiveUp:
    """The housekeeping of the service."""

    def __init__(
        self,
        judgements: Judgements,
        clock: Clock,
        patience: Patience,
        failed: Callable[[Exception], None],
    ) -> None:
        self._judgements, self._clock, self._patience = judgements, clock, patience
        self._failed = failed

    async def run(self) -> None:
        """For ever; a round that fails is told and made again."""
        while True:
            try:
                await self.once()
            except Exception as error:
                self._failed(error)
            await asyncio.sleep(self._patience.pause)

    async def once(self) -> int:
        """How many judgements were given up."""
        given_up, now = 0, self._clock()
        while some := await self._judgements.give_up_waiting(now - self._patience.wait, _LIMIT):
            given_up += some
        while await self._judgements.forget(now - self._patience.keep, _LIMIT):
            pass
        return given_up
