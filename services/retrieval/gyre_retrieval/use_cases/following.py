"""An index that is not in use is brought up to the one that is, and kept up."""

from __future__ import annotations

from collections import Counter

from gyre_retrieval.domain.identity import DocumentKey
from gyre_retrieval.domain.index import Index
from gyre_retrieval.domain.passage import Passage
from gyre_retrieval.domain.reindex import Wanted
from gyre_retrieval.ports import (
    IndexUnavailable,
    PassageEmbedder,
    Reindexes,
    VectorIndex,
)
from gyre_retrieval.use_cases.indexing import embedded_for

DOCUMENTS_AT_ONCE = 64


class Follow:
    """Copies what is in force and not in the follower: read, embed, store, note.

    What is about to be stored is noted before, so that whatever a crash leaves in the follower is
    removed once its version is not in force any more. Everything may be done twice.

    passages: of one batch, about; one document is never parted.
    """

    def __init__(
        self,
        reindexes: Reindexes,
        index: VectorIndex,
        embedder: PassageEmbedder,
        *,
        passages: int,
    ) -> None:
        self._reindexes = reindexes
        self._index = index
        self._embedder = embedder
        self._passages = passages

    async def batch(self, follower: Index, after: DocumentKey | None) -> list[Wanted]:
        """Copies the next ones behind `after`; empty where there is nothing.

        Raises what the ports raise, `EmbedderMismatch`.
        """
        await self._index.make(follower)
        lagging = await self._reindexes.lagging(follower, after, DOCUMENTS_AT_ONCE)
        some = _as_many(lagging, self._passages)
        source = await self._reindexes.in_use(follower.collection)
        if not some or source is None or source == follower:
            return []
        await self._reindexes.begin(follower, some)
        whole, passages = await self._read(source, some)
        if not whole and some[0] in await self._reindexes.lagging(follower, after, 1):
            raise IndexUnavailable(
                f"{source.name} lost passages of {some[0].document.document_id}: process it again"
            )
        await self._index.store(follower, await embedded_for(follower, passages, self._embedder))
        await self._reindexes.finish(follower, whole)
        return some

    async def catch_up(self, follower: Index) -> None:
        """Until nothing lags, without a pause."""
        while await self.batch(follower, None):
            pass

    async def _read(self, source: Index, some: list[Wanted]) -> tuple[list[Wanted], list[Passage]]:
        """Versions of which the source holds all, with their passages.

        One that left while it was read holds less, and is asked for no more. One that is in force
        and holds less is an index that lost something.
        """
        passages = await self._index.passages(source, some)
        counts = Counter((one.document, one.version) for one in passages)
        whole = [one for one in some if counts[one.document, one.version] >= one.chunk_count]
        versions = {(one.document, one.version) for one in whole}
        return whole, [one for one in passages if (one.document, one.version) in versions]


def _as_many(lagging: list[Wanted], passages: int) -> list[Wanted]:
    """At least one, where there is one."""
    taken: list[Wanted] = []
    size = 0
    for one in lagging:
        if taken and size + one.chunk_count > passages:
            break
        taken.append(one)
        size += one.chunk_count
    return taken
