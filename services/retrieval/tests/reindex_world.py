"""Everything around an index for another embedder, with a real catalogue and no service."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from gyre_retrieval.adapters.catalogue import DatabaseCatalogue
from gyre_retrieval.adapters.helpfulness import DatabaseHelpfulness
from gyre_retrieval.adapters.memory import MemoryEmbedder
from gyre_retrieval.adapters.reindexes import DatabaseReindexes
from gyre_retrieval.adapters.tables import MIGRATIONS, metadata
from gyre_retrieval.domain.query import Answer, Conditions, Mode, Query, Route
from gyre_retrieval.domain.ranking import Fusion, FusionMethod
from gyre_retrieval.domain.reindex import ReindexState, Shown
from gyre_retrieval.ports import VectorIndex
from gyre_retrieval.use_cases.comparing import CompareJudged, CompareLive
from gyre_retrieval.use_cases.following import Follow
from gyre_retrieval.use_cases.indexing import IndexDocuments
from gyre_retrieval.use_cases.reindexing import ManageReindexes, Pace, Reindexer
from gyre_retrieval.use_cases.searching import SearchPassages
from gyre_retrieval.use_cases.sweeping import Sweeper
from gyre_runtime.database import Database
from retrieval_builders import EMBEDDER, key, part, vector_of

NEW, THIRD = "bag-of-words-2", "bag-of-words-3"
NEW_DIMENSION = 48
PACE = Pace(share=1.0, pause=0.05, lease=0.4, reconcile=0.05)


def new_vector_of(text: str) -> list[float]:
    """As `vector_of`, with bins and a dimension of its own."""
    bins = np.full(NEW_DIMENSION, 1e-3, dtype=np.float32)
    for word in text.lower().split():
        bins[int(hashlib.sha1(word.encode()).hexdigest(), 16) % NEW_DIMENSION] += 1.0
    return [float(one) for one in bins]


def embedders() -> MemoryEmbedder:
    others = {NEW: new_vector_of, THIRD: lambda text: new_vector_of(text)[::-1]}
    return MemoryEmbedder(EMBEDDER, lambda text: vector_of(text).tolist(), others)


class ReindexWorld:
    """All stories around one database and one index."""

    def __init__(self, database: Database, kept: VectorIndex, keep: float = 60.0) -> None:
        self.database = database
        self.kept = kept
        self.errors: list[Exception] = []
        self.embedder = embedders()
        self.catalogue = DatabaseCatalogue(database)
        self.reindexes = DatabaseReindexes(database)
        self.helpfulness = DatabaseHelpfulness(database)
        failed = self.errors.append
        self.sweeper = Sweeper(self.catalogue, kept, pause=60.0, failed=failed)
        self.follow = Follow(self.reindexes, kept, self.embedder, passages=8)
        self.reindexer = Reindexer(
            self.reindexes, kept, self.follow, PACE, sweep=self.sweeper.call, failed=failed
        )
        self.manage = ManageReindexes(
            self.reindexes,
            kept,
            self.embedder,
            self.follow,
            keep=keep,
            moved=self.reindexer.moved,
        )
        self.documents = IndexDocuments(
            self.catalogue,
            kept,
            self.embedder,
            sweep=self.sweeper.call,
        )
        weights = {Route.DENSE: 0.4, Route.LEXICAL: 0.6}
        fusion = Fusion(FusionMethod.SCORES, weights, 20)
        self.live: CompareLive
        aside = SearchPassages(self.catalogue, kept, self.embedder, fusion)
        self.live = CompareLive(self.reindexes, self.helpfulness, aside, share=1.0, failed=failed)
        self.judged = CompareJudged(self.reindexes, aside)
        self.passages = SearchPassages(
            self.catalogue, kept, self.embedder, fusion, watch=self.live.watch
        )

    async def hear(self, document_id: str, texts: Sequence[str], revision: int = 1) -> None:
        await self.documents.receive(part(key(document_id), texts, revision=revision))

    async def forget(self, document_id: str, revision: int = 1) -> None:
        await self.documents.delete(key(document_id), revision, f"r{revision}")

    async def start(self, collection: str = "default") -> Shown:
        return await self.manage.start("acme", "ann", collection, NEW, "a better model")

    async def filled(self, reindex_id: str) -> Shown:
        """Works until it is READY and nothing lags."""
        while await self.reindexer.round():
            pass
        shown = await self.manage.show(reindex_id)
        assert shown.reindex.state is not ReindexState.FILLING, shown
        return shown

    async def search(self, text: str, mode: Mode = Mode.DENSE, top_k: int = 100) -> Answer:
        query = Query(text, mode, top_k, Conditions("acme", "default"))
        return await self.passages.search(query)

    async def texts(self, text: str, mode: Mode = Mode.DENSE) -> list[str]:
        hits = (await self.search(text, mode)).hits
        return sorted(hit.passage.chunk.text for hit in hits)


@asynccontextmanager
async def world_on(
    url: str, kept: VectorIndex, *, keep: float = 60.0
) -> AsyncIterator[ReindexWorld]:
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    world = ReindexWorld(database, kept, keep)
    async with world.catalogue:
        yield world
    await database.stop()


def sqlite_in(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/retrieval.db"
