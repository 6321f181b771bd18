"""A few warm processes that share the work; one that misbehaves is replaced."""

import asyncio
import signal

from gyre_ingestion.adapters.processes.worker import Recipe, Worker, WorkerDied

_JOBS_PER_WORKER = 2_000
_LARGEST_PEAK_KILOBYTES = 600_000
_GRACE_SECONDS = 5
# A worker killed from outside (an operator, a machine that shuts down) says nothing of its job.
_FROM_OUTSIDE = {-signal.SIGTERM, -signal.SIGKILL, -signal.SIGINT, -signal.SIGHUP}


class WorkerPool:
    """Starts workers when they are needed and renews them now and then."""

    def __init__(self, recipe: Recipe, size: int) -> None:
        self._recipe = recipe
        self._idle: asyncio.LifoQueue[Worker | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)
        self._workers: set[Worker] = set()

    @property
    def seconds(self) -> int:
        """How long a job may take."""
        return self._recipe.seconds

    async def ask(self, first: bytes, second: bytes) -> bytes:
        """A worker's answer. A job whose worker was killed from outside is given to another once.

        Raises `WorkerDied`, and TimeoutError after the recipe's seconds of wall clock.
        """
        try:
            return await self._attempt(first, second)
        except WorkerDied as death:
            if death.code not in _FROM_OUTSIDE:
                raise
            return await self._attempt(first, second)

    async def close(self) -> None:
        """Ends all workers."""
        await asyncio.gather(*map(self._dismiss, tuple(self._workers)))

    async def _attempt(self, first: bytes, second: bytes) -> bytes:
        member = await self._idle.get()
        try:
            if member is None or _is_spent(member):
                member = await self._renewed(member)
            async with asyncio.timeout(self._recipe.seconds + _GRACE_SECONDS):
                return await member.ask(first, second)
        except BaseException:
            # Whatever went wrong (a deadline, a cancellation), its pipes are out of step now.
            if member is not None:
                await asyncio.shield(self._dismiss(member))
                member = None
            raise
        finally:
            self._idle.put_nowait(member)

    async def _renewed(self, member: Worker | None) -> Worker:
        if member is not None:
            await self._dismiss(member)
        fresh = await Worker.start(self._recipe)
        self._workers.add(fresh)
        return fresh

    async def _dismiss(self, member: Worker) -> None:
        self._workers.discard(member)
        await member.kill()


def _is_spent(member: Worker) -> bool:
    return (
        member.has_ended
        or member.jobs >= _JOBS_PER_WORKER
        or member.peak_kilobytes > _LARGEST_PEAK_KILOBYTES
    )
