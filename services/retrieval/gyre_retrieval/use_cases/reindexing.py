"""A collection gets an index for another embedder, without a moment without search."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from uuid_utils import uuid7

from gyre_retrieval.domain.comparison import live_comparison
from gyre_retrieval.domain.errors import CollectionUnknown, QueryInvalid
from gyre_retrieval.domain.identity import DocumentKey
from gyre_retrieval.domain.index import shadow_for
from gyre_retrieval.domain.query import collection_violations
from gyre_retrieval.domain.reindex import (
    NotCaughtUp,
    Reindex,
    ReindexRefused,
    ReindexState,
    Shown,
    text_violations,
)
from gyre_retrieval.ports import (
    EmbedderUnknown,
    IndexUnavailable,
    PassageEmbedder,
    Reindexes,
    VectorIndex,
)
from gyre_retrieval.use_cases.following import Follow

TRIES = 10
HOLD = 5.0
SETTLE_EVERY = 60.0
PROBE = "What is this collection about?"


class ManageReindexes:
    """Start, look, switch, give up. A call that is repeated changes nothing.

    keep: seconds for which the index before a switch is kept. moved: called after a change.
    """

    def __init__(
        self,
        reindexes: Reindexes,
        index: VectorIndex,
        embedder: PassageEmbedder,
        follow: Follow,
        *,
        keep: float,
        moved: Callable[[], None],
    ) -> None:
        self._reindexes = reindexes
        self._index = index
        self._embedder = embedder
        self._follow = follow
        self._keep = keep
        self._moved = moved

    async def start(
        self,
        tenant: str,
        principal: str,
        collection: str,
        embedder: str,
        reason: str,
        *,
        gated: bool = False,
    ) -> Shown:
        """gated: a gate decides over the switch, without it a person does.

        Raises `QueryInvalid`, `CollectionUnknown`, `ReindexRefused`, `EmbedderUnavailable`."""
        violations = {**collection_violations(collection), **text_violations({"reason": reason})}
        if not embedder:
            violations["embedder"] = "give the name of a model on the model server"
        if violations:
            raise QueryInvalid(violations)
        previous = await self._reindexes.in_use(collection)
        if previous is None:
            raise CollectionUnknown(collection)
        if previous.embedder == embedder:
            raise ReindexRefused(f"{embedder} is the embedder in use")
        dimension = await self._dimension(embedder)
        reindex_id = str(uuid7())
        index = shadow_for(collection, embedder, dimension, reindex_id)
        reindex = Reindex(
            reindex_id, tenant, principal, reason, index, previous, time.time(), gated=gated
        )
        await self._reindexes.start(reindex)
        self._moved()
        return await self.show(reindex_id)

    async def show(self, reindex_id: str) -> Shown:
        """Raises `ReindexUnknown`."""
        reindex = await self._reindexes.get(reindex_id)
        samples = await self._reindexes.samples(reindex_id)
        return Shown(
            reindex,
            await self._reindexes.progress(reindex),
            await asyncio.to_thread(live_comparison, samples),
            await self._reindexes.judged(reindex_id),
        )

    async def newest(self, collection: str, limit: int, offset: int) -> list[Reindex]:
        return await self._reindexes.newest(collection, limit, offset)

    async def switch(self, reindex_id: str, *, back: bool) -> Shown:
        """Searches are answered by the other index when this returns, in every process.

        Where documents come into force faster than they are copied, those that come wait for it
        at last, for seconds. Raises `ReindexUnknown`, `ReindexRefused`, and what the ports raise;
        then the index in use stays in use.
        """
        reindex = await self._reindexes.get(reindex_id)
        if _is_switched(reindex, back):
            return await self.show(reindex_id)
        after = await self._switched(reindex, back)
        with contextlib.suppress(IndexUnavailable):  # the reconciler does it later
            await self._index.point(after.in_use)
        self._moved()
        return await self.show(reindex_id)

    async def abort(self, reindex_id: str, reason: str) -> Shown:
        """Raises `QueryInvalid`, `ReindexUnknown`, `ReindexRefused`."""
        if violations := text_violations({"reason": reason}):
            raise QueryInvalid(violations)
        await self._reindexes.abort(reindex_id, reason)
        self._moved()
        return await self.show(reindex_id)

    async def _dimension(self, embedder: str) -> int:
        try:
            [vector] = await self._embedder.embed_passages([PROBE], embedder)
        except EmbedderUnknown as error:
            raise ReindexRefused(str(error)) from error
        return len(vector)

    async def _switched(self, reindex: Reindex, back: bool) -> Reindex:
        for held in range(TRIES):
            try:
                return await self._reindexes.switch(reindex.reindex_id, back=back, keep=self._keep)
            except NotCaughtUp:
                await self._caught_up(reindex, hold=held > 0)
        raise IndexUnavailable("documents come faster than they are copied: switch later")

    async def _caught_up(self, reindex: Reindex, *, hold: bool) -> None:
        """hold: nothing comes into force meanwhile, nor until the switch, for HOLD seconds."""
        if hold:
            await self._reindexes.hold(reindex.collection, HOLD)
        try:
            async with asyncio.timeout(HOLD):
                await self._follow.catch_up(reindex.follower)
        except TimeoutError as error:
            raise IndexUnavailable("much is still to be copied: switch later") from error


def _is_switched(reindex: Reindex, back: bool) -> bool:
    if back:
        return reindex.state is ReindexState.READY and reindex.switch_time is not None
    return reindex.state in (ReindexState.SWITCHED, ReindexState.ENDED)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an index is filled.

    share: of its time that the copying works; the rest belongs to searches. pause: seconds between
    looks when nothing is to be done. lease: seconds after which another process goes on with what
    a dead one left. reconcile: seconds between looks for indexes to drop.
    """

    share: float
    pause: float
    lease: float
    reconcile: float


@dataclass
class _Course:
    """Where this process is with one reindexing. after: the last document of this round over all
    documents, None at its beginning. quiet: the change count when a round found nothing."""

    leased_until: float = 0.0
    settle_at: float = 0.0
    after: DocumentKey | None = None
    quiet: int | None = None
    detail: str = ""


class Reindexer:
    """Fills, keeps up, ends what was kept long enough, and drops what the catalogue forgot.

    One process works on a reindexing at a time. Everything may be broken off anywhere: what is in
    an index that is not in use is known from its fills. failed: told of errors that a later
    round may get over.
    """

    def __init__(
        self,
        reindexes: Reindexes,
        index: VectorIndex,
        follow: Follow,
        pace: Pace,
        *,
        sweep: Callable[[], None],
        failed: Callable[[Exception], None],
        strangers: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._reindexes = reindexes
        self._index = index
        self._follow = follow
        self._pace = pace
        self._sweep = sweep
        self._failed = failed
        self._strangers = strangers
        self._owner = str(uuid7())
        self._courses: dict[str, _Course] = {}
        self._reconcile_at = 0.0
        self._called = asyncio.Event()

    def moved(self) -> None:
        """A reindexing was started, switched or given up: look now, at everything."""
        self._reconcile_at = 0.0
        self._called.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._called.clear()
            started = time.monotonic()
            try:
                busy = await self.round()
                if started >= self._reconcile_at:
                    self._reconcile_at = started + self._pace.reconcile
                    await self.reconcile()
            except Exception as error:
                self._failed(error)
                busy = False
            if busy:
                worked = time.monotonic() - started
                await asyncio.sleep(worked * (1.0 / self._pace.share - 1.0))
                continue
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the call.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.pause):
                    await self._called.wait()

    async def round(self) -> bool:
        """One batch of each open reindexing; whether anything was copied."""
        busy = False
        for reindex in await self._reindexes.open():
            course = self._courses.setdefault(reindex.reindex_id, _Course(detail=reindex.detail))
            if await self._claimed(reindex, course):
                busy |= await self._advance(reindex, course)
        return busy

    async def reconcile(self) -> None:
        """Drops indexes that were of a reindexing and that the catalogue does not know any more.

        The names are read before the catalogue: an index is in the catalogue before it is made.
        """
        names = await self._index.names()
        for name in await self._reindexes.orphans(names):
            await self._index.drop(name)
        self._strangers(len(await self._reindexes.strangers(names)))

    async def _claimed(self, reindex: Reindex, course: _Course) -> bool:
        now = time.monotonic()
        if now > course.leased_until - self._pace.lease / 2:
            mine = await self._reindexes.claim(reindex.reindex_id, self._owner, self._pace.lease)
            course.leased_until = now + self._pace.lease if mine else 0.0
        return course.leased_until > now

    async def _advance(self, reindex: Reindex, course: _Course) -> bool:
        if reindex.keep_until is not None and time.time() >= reindex.keep_until:
            await self._reindexes.end(reindex.reindex_id)
            self.moved()
            return False
        try:
            busy = await self._copied(reindex, course)
        except Exception as error:
            if await self._tell(reindex, course, _sentence(error)):
                self._failed(error)
            return False
        await self._tell(reindex, course, "")
        return busy

    async def _copied(self, reindex: Reindex, course: _Course) -> bool:
        """One batch; a round over all documents that finds none makes the index ready."""
        count = await self._reindexes.change_count(reindex.collection)
        if course.quiet == count and course.after is None:
            return False
        await self._settle(reindex, course)
        some = await self._follow.batch(reindex.follower, course.after)
        if some:
            course.after = some[-1].document
            return True
        if course.after is not None:
            course.after = None
            return True
        in_use = await self._reindexes.in_use(reindex.collection)
        if in_use is not None:
            await self._index.point(in_use)
        await self._reindexes.build(reindex.reindex_id)
        course.quiet = count
        return False

    async def _settle(self, reindex: Reindex, course: _Course) -> None:
        """What a crash left, of this process or another one, or of one that was slow."""
        now = time.monotonic()
        if now >= course.settle_at:
            course.settle_at = now + SETTLE_EVERY
            if await self._reindexes.settle(reindex.follower):
                self._sweep()

    async def _tell(self, reindex: Reindex, course: _Course, detail: str) -> bool:
        """Whether it is new."""
        if course.detail == detail:
            return False
        await self._reindexes.detail(reindex.reindex_id, detail)
        course.detail = detail
        return True


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:500]
