"""Who is held now: kept by whichever process hears of it, known to all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from gyre_inference.domain.record import Caller
from gyre_inference.domain.throttles import Throttle, Throttled
from gyre_inference.ports import Throttles


def _now() -> datetime:
    return datetime.now(UTC)


class Throttling:
    """A request looks into memory alone; the table is read again when a bell rings, and every
    `pause` seconds."""

    def __init__(
        self,
        throttles: Throttles,
        *,
        pause: float,
        failed: Callable[[Exception], None],
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._throttles = throttles
        self._pause = pause
        self._failed = failed
        self._clock = clock
        self._bell = asyncio.Event()
        self._held: list[Throttle] = []

    def admit(self, caller: Caller, end_user: str) -> None:
        """Raises `Throttled`."""
        if not self._held:
            return
        now = self._clock()
        for throttle in self._held:
            if throttle.until > now and throttle.concerns(caller, end_user):
                raise Throttled(throttle, now)

    async def hold(self, throttle: Throttle) -> None:
        """Until its time, unless it was lifted already; what is over is not kept."""
        await self._throttles.hold(throttle)
        self.ring()

    async def lift(self, tenant: str, alert_id: str) -> None:
        """May come before the throttle itself."""
        await self._throttles.lift(tenant, alert_id)
        self.ring()

    def ring(self) -> None:
        """Look earlier."""
        self._bell.set()

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            self._bell.clear()
            try:
                await self.look()
            except Exception as error:  # the database is away: the next look finds it
                self._failed(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._bell.wait()

    async def look(self) -> None:
        """Reads what is in force."""
        self._held = await self._throttles.in_force(self._clock())
