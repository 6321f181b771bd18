"""What people thought of passages, as one signal among others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre.feedback.v1.events_pb2 import HelpfulnessChanged
from gyre_retrieval.adapters.helpfulness import DatabaseHelpfulness
from gyre_retrieval.adapters.memory import MemoryEmbedder, MemoryVectorIndex
from gyre_retrieval.adapters.tables import MIGRATIONS, metadata
from gyre_retrieval.app import build
from gyre_retrieval.domain.helpfulness import Opinion, lifted
from gyre_retrieval.domain.query import Hit
from gyre_retrieval.settings import Settings
from gyre_retrieval.use_cases.searching import Signal
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose
from hypothesis import given
from hypothesis import strategies as st
from retrieval_builders import EMBEDDER, key, passage, vector_of


def hits(*scores: float) -> list[Hit]:
    found = [passage(key(f"d-{place}"), "x", chunk_id=f"c-{place}") for place in range(len(scores))]
    return [Hit(one.passage, score, {}) for one, score in zip(found, scores, strict=True)]


def names(found: list[Hit]) -> list[str]:
    return [hit.passage.chunk.chunk_id for hit in found]


def opinion(
    chunk_id: str = "c-1",
    value: float = 0.8,
    revision: int = 1,
    votes: float = 2.0,
    metric: str = "useful",
) -> Opinion:
    return Opinion(chunk_id, metric, value, votes, revision)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path}/retrieval.db", metadata, migrations=MIGRATIONS)
    await made.start()
    yield made
    await made.stop()


def test_a_helpful_passage_overtakes_a_useless_one() -> None:
    found = lifted(hits(0.9, 0.8), {"c-0": 0.2, "c-1": 0.8}, 1.0)
    assert names(found) == ["c-1", "c-0"]
    assert found[0].score == pytest.approx(0.8 * 1.3)


@given(st.lists(st.floats(0.0, 1.0), max_size=8), st.floats(0.0, 2.0))
def test_what_nobody_judged_stays_where_it_was(scores: list[float], weight: float) -> None:
    ordered = hits(*sorted(scores, reverse=True))
    assert lifted(ordered, {}, weight) == ordered


async def test_the_newest_opinion_counts_and_a_stale_one_does_not(database: Database) -> None:
    store = DatabaseHelpfulness(database)
    for one in (opinion(value=0.6, revision=2), opinion(value=0.1), opinion(value=0.7, revision=3)):
        await store.keep("acme", one)
    assert await store.of("acme", ["c-1", "c-9"]) == {"c-1": 0.7}


async def test_opinions_by_several_metrics_weigh_as_their_votes(database: Database) -> None:
    store = DatabaseHelpfulness(database)
    await store.keep("acme", opinion(value=1.0, votes=3.0))
    await store.keep("acme", opinion(value=0.0, votes=1.0, metric="fresh"))
    assert await store.of("acme", ["c-1"]) == {"c-1": pytest.approx(0.75)}


async def test_opinions_of_one_tenant_move_nothing_of_another(database: Database) -> None:
    store = DatabaseHelpfulness(database)
    await store.keep("acme", opinion())
    signal = Signal(store, 1.0)
    assert names(await signal.applied("rival", hits(0.9, 0.8))) == ["c-0", "c-1"]
    assert names(await signal.applied("acme", hits(0.9, 0.8))) == ["c-1", "c-0"]


async def test_the_signal_is_off_by_default() -> None:
    assert Settings().feedback_weight == 0.0


async def test_the_service_hears_of_helpfulness(tmp_path: Path) -> None:
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0, feedback_weight=1.0)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/retrieval.db", metadata)
    exchange = MemoryExchange()
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(exchange))
    embedder = MemoryEmbedder(EMBEDDER, lambda text: vector_of(text).tolist())
    service = build(
        settings, index=MemoryVectorIndex(), embedder=embedder, database=database, bus=bus
    )
    await service.start()
    event = HelpfulnessChanged(
        chunk_id="c-1", helpfulness=0.75, votes=3, revision=1, metric="useful"
    )
    exchange.publish(compose(event, tenant="acme", entity_id="c-1", cause=None))
    await exchange.settled()
    assert await DatabaseHelpfulness(database).of("acme", ["c-1"]) == {"c-1": 0.75}
    await service.stop()
