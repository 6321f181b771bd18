"""Sources: kept once, in any order, as they were known at a moment, and erased for good."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre_retraining.adapters import source_tables
from gyre_retraining.adapters.memory_sources import MemorySourceStore
from gyre_retraining.adapters.sources import DatabaseSourceStore
from gyre_retraining.adapters.tables import MIGRATIONS, metadata
from gyre_retraining.dataset_ports import SourceStore
from gyre_retraining.domain.settling import settle
from gyre_retraining.domain.sources import (
    BOOLEAN,
    CORRECTION,
    TEXT,
    ChunkText,
    Judgement,
    Level,
    Message,
    Passage,
    RecordedAnswer,
    Review,
    State,
    StateChange,
)
from gyre_runtime.database import Database
from sqlalchemy.ext.asyncio import create_async_engine

ACME = "acme"
FOREVER = 1e12


class Ticking:
    """A clock that goes on by one second each time it is read."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(
    request: pytest.FixtureRequest, clock: Ticking, tmp_path: Path
) -> AsyncIterator[MemorySourceStore | DatabaseSourceStore]:
    if request.param == "memory":
        yield MemorySourceStore(clock)
        return
    sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{tmp_path}/retraining.db" if sqlite else await _postgres()
    database = Database(url, metadata, migrations=MIGRATIONS)
    await database.start()
    yield DatabaseSourceStore(database, clock)
    await database.stop()


async def _postgres() -> str:
    url = os.environ.get("GYRE_TEST_POSTGRES_URL")
    if url is None:
        pytest.skip("GYRE_TEST_POSTGRES_URL names no PostgreSQL (postgresql+asyncpg://...)")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    await engine.dispose()
    return url


def answer(answer_id: str = "a1", *, user: str = "u1", time: float = 10.0) -> RecordedAnswer:
    return RecordedAnswer(
        answer_id=answer_id,
        question="What is the fee?",
        completion="[1] The fee is 25 euros.",
        messages=(Message("user", "Sentences: ... Question: What is the fee?"),),
        prompt_arguments={"question": '"What is the fee?"'},
        passages=(Passage("c1", "d1", 1, 1), Passage("c2", "d2", 3, 2)),
        model="reader",
        end_user=user,
        language="en",
        metadata={"consent": "yes"},
        time=time,
    )


def thumb(feedback_id: str = "f1", revision: int = 1, *, value: bool = True) -> Judgement:
    return Judgement(
        "backend", feedback_id, revision, "a1", "helpful", Level.ANSWER, BOOLEAN, value, time=20.0
    )


def correction(feedback_id: str = "f2") -> Judgement:
    text = "The fee is 30 euros."
    return Judgement(
        "backend", feedback_id, 1, "a1", CORRECTION, Level.ANSWER, TEXT, text, rater="r1", time=21.0
    )


async def test_what_was_put_is_what_is_there(store: SourceStore) -> None:
    chunk = ChunkText("c1", "d1", 1, "The fee is 25 euros.", 0, "help", "en")
    review = Review("i1", "a1", "rita", labels={"correct": "right"}, time=30.0)
    await store.put_answer(ACME, answer())
    await store.put_judgement(ACME, thumb())
    await store.put_review(ACME, review)
    await store.put_chunks(ACME, [chunk])
    found = await store.snapshot(ACME, FOREVER)
    assert found.answers == (answer(),)
    assert found.judgements == (thumb(),)
    assert found.reviews == (review,)
    assert found.chunks == (chunk,)
    assert await store.snapshot("globex", FOREVER) == replace(
        found, tenant="globex", answers=(), judgements=(), reviews=(), chunks=()
    )


async def test_the_order_and_repeats_of_events_do_not_matter(store: SourceStore) -> None:
    heard = [
        thumb(),
        thumb(revision=2, value=False),
        StateChange("backend", "f1", 2, State.QUARANTINED),
        StateChange("backend", "f1", 2, State.RELEASED),
        correction(),
        StateChange("backend", "f2", 2, State.WITHDRAWN),
        answer(),
    ]
    mixed = heard * 3
    random.Random(7).shuffle(mixed)
    for one in mixed:
        match one:
            case Judgement():
                await store.put_judgement(ACME, one)
            case StateChange():
                await store.put_state(ACME, one)
            case RecordedAnswer():
                await store.put_answer(ACME, one)
    found = await store.snapshot(ACME, FOREVER)
    edited, withdrawn = found.judgements
    assert (edited.value, edited.revision, edited.state) == (False, 2, State.RELEASED)
    assert withdrawn.state is State.WITHDRAWN
    assert found.answers == (answer(),)


async def test_a_snapshot_of_an_earlier_moment_stays_as_it_was(
    store: SourceStore, clock: Ticking
) -> None:
    await store.put_answer(ACME, answer())
    await store.put_judgement(ACME, thumb())
    await store.put_review(ACME, Review("i1", "a1", "rita", correction="25.", time=1.0))
    moment = clock.now
    before = await store.snapshot(ACME, moment)
    await store.put_judgement(ACME, thumb(revision=2, value=False))
    await store.put_state(ACME, StateChange("backend", "f1", 3, State.WITHDRAWN))
    await store.put_review(ACME, Review("i1", "a1", "rita", declined=True, time=2.0))
    await store.put_answer(ACME, answer("a2"))
    assert await store.snapshot(ACME, moment) == before
    after = await store.snapshot(ACME, clock.now)
    assert after.judgements[0].state is State.WITHDRAWN
    assert [one.declined for one in after.reviews] == [True]
    assert len(after.answers) == 2


async def test_an_erased_user_leaves_no_words_behind(store: SourceStore, clock: Ticking) -> None:
    await store.put_answer(ACME, answer())
    await store.put_judgement(ACME, thumb())
    await store.put_judgement(ACME, correction())
    await store.put_review(ACME, Review("i1", "a1", "rita", correction="25.", time=1.0))
    moment = clock.now
    assert await store.erase_user(ACME, "u1", 50.0) == 1
    await store.put_answer(ACME, answer("late", time=49.0))
    await store.put_answer(ACME, answer("after", time=51.0))
    await store.put_judgement(ACME, correction("later"))
    found = await store.snapshot(ACME, FOREVER)
    text = repr([found, await store.snapshot(ACME, moment)])
    after, *erased = sorted(found.answers, key=lambda one: one.answer_id != "after")
    assert after == answer("after", time=51.0)
    assert [one.erased for one in erased] == [True, True]
    assert all(not one.question and not one.end_user for one in erased)
    assert all(one.erased and one.value == "" for one in found.judgements)
    assert text.count("25 euros") == 1  # of the answer that came after the erasure
    assert "30 euros" not in text
    assert await store.erase_user(ACME, "u1", 50.0) == 0


async def test_an_erased_rater_says_nothing_any_more(store: SourceStore) -> None:
    await store.put_answer(ACME, answer(user="u9"))
    await store.put_judgement(ACME, correction())
    await store.put_judgement(ACME, thumb())
    await store.erase_user(ACME, "r1", 50.0)
    await store.put_judgement(ACME, correction("late"))
    found = await store.snapshot(ACME, FOREVER)
    assert [one.erased for one in found.judgements] == [False, True, True]
    assert not found.answers[0].erased


async def test_an_erased_document_takes_its_passages_and_what_quotes_them(
    store: SourceStore, clock: Ticking
) -> None:
    await store.put_chunks(ACME, [ChunkText("c1", "d1", 1, "The fee is 25 euros.")])
    await store.put_answer(ACME, answer())
    await store.put_judgement(ACME, thumb())
    await store.put_judgement(ACME, correction())
    moment = clock.now
    assert await store.erase_document(ACME, "d1", 1) == 2
    await store.put_chunks(ACME, [ChunkText("c9", "d1", 1, "Late: 25 euros."), chunk_of_two()])
    await store.put_answer(ACME, answer("late"))
    found = await store.snapshot(ACME, FOREVER)
    texts = {one.chunk_id: one.text for one in found.chunks}
    assert texts == {"c1": "", "c9": "", "c10": "The fee is 40 euros."}
    assert [one.question for one in found.answers] == ["What is the fee?"] * 2
    assert "25 euros" not in repr([found, await store.snapshot(ACME, moment)])
    number, words = found.judgements
    assert number == thumb()
    assert (words.value, words.erased) == ("", True)


def chunk_of_two() -> ChunkText:
    return ChunkText("c10", "d1", 2, "The fee is 40 euros.")


async def test_erasure_does_not_reach_other_tenants_and_users(store: SourceStore) -> None:
    await store.put_answer(ACME, answer(user="u2"))
    await store.put_answer("globex", answer())
    await store.erase_user(ACME, "u1", 50.0)
    await store.erase_document(ACME, "d2", 2)  # what was shown is revision 3
    assert (await store.snapshot(ACME, FOREVER)).answers == (answer(user="u2"),)
    assert (await store.snapshot("globex", FOREVER)).answers == (answer(),)


async def test_an_older_erasure_does_not_shorten_a_newer_one(store: SourceStore) -> None:
    await store.erase_user(ACME, "u1", 50.0)
    await store.erase_user(ACME, "u1", 5.0)
    await store.put_answer(ACME, answer(time=40.0))
    (found,) = (await store.snapshot(ACME, FOREVER)).answers
    assert found.erased


async def test_judgements_are_counted_once_however_often_they_are_edited(
    store: MemorySourceStore | DatabaseSourceStore,
) -> None:
    for one in (thumb(), thumb(), thumb(revision=2, value=False), correction()):
        await store.put_judgement(ACME, one)
    await store.put_state(ACME, StateChange("backend", "f2", 2, State.WITHDRAWN))
    await store.put_judgement("globex", thumb())
    assert await store.count(ACME, frozenset()) == 2
    assert await store.count(ACME, frozenset({"helpful"})) == 1
    assert await store.tenants() == [ACME, "globex"]


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_a_decision_holds_whatever_the_order(order: tuple[int, ...]) -> None:
    said = [
        StateChange("b", "f", 1, State.QUARANTINED),
        StateChange("b", "f", 1, State.DROPPED),
        StateChange("b", "f", 0, State.WITHDRAWN),
    ]
    one = Judgement("b", "f", 1, "a", "helpful", Level.ANSWER, BOOLEAN, True)
    (settled,) = settle([one], [said[place] for place in order])
    assert settled.state is State.DROPPED


def test_a_release_of_words_that_were_never_heard_does_not_let_the_old_ones_count() -> None:
    one = Judgement("b", "f", 1, "a", "helpful", Level.ANSWER, BOOLEAN, True)
    (settled,) = settle([one], [StateChange("b", "f", 2, State.RELEASED)])
    assert not settled.state.counts


async def test_the_migration_makes_the_tables_as_they_are_declared(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = Database(f"sqlite+aiosqlite:///{tmp_path}/new.db", metadata, migrations=MIGRATIONS)
    await database.start()
    async with database.reading() as connection:
        found = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    await database.stop()
    mine = {table.name for table in metadata.tables.values() if table.name.startswith("source_")}
    assert len(mine) == len(
        [one for one in vars(source_tables).values() if hasattr(one, "indexes")]
    )
    assert [one for one in found if any(name in repr(one) for name in mine)] == []
