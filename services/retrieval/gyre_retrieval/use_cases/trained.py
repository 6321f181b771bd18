"""An embedder that was trained gets an index, and a gate decides whether it is used."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from uuid_utils import uuid7

from gyre_retrieval.domain.index import Index, shadow_for
from gyre_retrieval.domain.reindex import (
    Gate,
    Reindex,
    ReindexRefused,
    Step,
    Wish,
    is_newer,
    refusal,
    step_of,
)
from gyre_retrieval.ports import Catalogue, Reindexes
from gyre_retrieval.use_cases.reindexing import ManageReindexes

SELF = "retrieval"


class HearOfTraining:
    """What is heard is only kept: `FollowTraining` acts on it, in whatever order it came.

    tenants: those whose embedders are indexed; empty: all. called: when something was kept.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        reindexes: Reindexes,
        *,
        tenants: frozenset[str],
        called: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._reindexes = reindexes
        self._tenants = tenants
        self._called = called

    async def embedder(
        self, tenant: str, embedder: str, dimension: int, model: str, training_id: str
    ) -> int:
        """An embedder is ready: every collection of the tenant that has an index wishes for one of
        it. Returns how many."""
        if self._tenants and tenant not in self._tenants:
            return 0
        collections = await self._catalogue.collections(tenant)
        wishes = [
            Wish(tenant, one.name, embedder, dimension, model, training_id)
            for one in collections
            if one.index is not None
        ]
        await self._reindexes.wish(wishes)
        self._called()
        return len(wishes)

    async def verdict(self, tenant: str, cause: str, gate: Gate) -> None:
        """cause: a reindexing, or something that is no matter of this service."""
        if await self._reindexes.judge(tenant, cause, gate):
            self._called()

    async def word(self, tenant: str, cause: str, gate: Gate) -> None:
        """A person's yes or no."""
        if await self._reindexes.grant(tenant, cause, gate):
            self._called()


class FollowTraining:
    """Grants wishes and follows gates. Everything is read from the catalogue, so it may be broken
    off anywhere, and several processes may do it at once.

    pause: seconds between looks. failed: told of what a later look may get over.
    """

    def __init__(
        self,
        reindexes: Reindexes,
        manage: ManageReindexes,
        *,
        pause: float,
        moved: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._reindexes = reindexes
        self._manage = manage
        self._pause = pause
        self._moved = moved
        self._failed = failed
        self._called = asyncio.Event()

    def call(self) -> None:
        """Something was heard: look now."""
        self._called.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._called.clear()
            try:
                await self.look()
            except Exception as error:
                self._failed(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._called.wait()

    async def look(self) -> None:
        """One look at everything; what fails keeps nothing else waiting."""
        for wish in await self._reindexes.wishes():
            with self._tolerant():
                await self._grant(wish)
        for reindex in await self._reindexes.open():
            with self._tolerant():
                await self._follow(reindex)

    async def _grant(self, wish: Wish) -> None:
        """Fills an index, unless a person's is filled or waits: then the wish waits."""
        in_use = await self._reindexes.in_use(wish.collection)
        if in_use is None or await self._is_outdated(wish, in_use):
            await self._reindexes.drop_wish(wish)
            return
        other = await self._reindexes.filled(wish.collection)
        if other is not None and not other.model:
            return
        if other is not None and not is_newer(wish.model, other.model):
            await self._reindexes.drop_wish(wish)
            return
        if other is not None:
            await self._manage.abort(other.reindex_id, f"superseded by {wish.model}")
        await self._reindexes.start(_reindex(wish, in_use))
        self._moved()

    async def _is_outdated(self, wish: Wish, in_use: Index) -> bool:
        if in_use.embedder == wish.embedder or await self._reindexes.is_made(wish.creation_key):
            return True
        return not is_newer(wish.model, await self._reindexes.model_of(in_use))

    async def _follow(self, reindex: Reindex) -> None:
        match step_of(reindex):
            case Step.SWITCH:
                await self._manage.switch(reindex.reindex_id, back=False)
            case Step.ABORT:
                await self._manage.abort(reindex.reindex_id, refusal(reindex.gate))

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except ReindexRefused:
            pass  # another process, or a person, was first
        except Exception as error:
            self._failed(error)


def _reindex(wish: Wish, in_use: Index) -> Reindex:
    reindex_id = str(uuid7())
    return Reindex(
        reindex_id,
        wish.tenant,
        SELF,
        f"{wish.model} was trained",
        shadow_for(wish.collection, wish.embedder, wish.dimension, reindex_id),
        in_use,
        time.time(),
        gated=True,
        model=wish.model,
        creation_key=wish.creation_key,
    )
