"""The ledger check: what was promised against what the stores hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from gyre.inference.v1.events_pb2 import AnswerFailed, AnswerGenerated
from gyre_client import DocumentState, Gyre, NotFoundError
from nats.js import JetStreamContext

from tests.chaos.actors import Author, Noted, Promised
from tests.platform import ledger
from tests.platform.running import RunningPlatform


async def check_documents(gyre: Gyre, author: Author) -> None:
    """Every document stands where its last acknowledgement put it, and search agrees."""
    for name, promised in author.promised.items():
        found = await gyre.documents.get(promised.document.document_id)
        said = promised.document
        assert found.revision == said.revision, name
        if promised.deleted:
            assert (found.state, found.indexed_revision) == (DocumentState.DELETED, 0), name
        elif promised.readable:
            assert found.sha256 == said.sha256, name
            expected = (DocumentState.INDEXED, said.revision)
            assert (found.state, found.indexed_revision) == expected, name
        else:
            assert found.state is DocumentState.REJECTED, name
            assert found.rejection_reason == "unsupported_format", name
            assert found.rejection_detail, name


async def check_list(gyre: Gyre, authors: Sequence[Author]) -> None:
    """The list of the authors' one tenant and collection holds what lives, and no phantom."""
    found = gyre.documents.list(collection=authors[0].collection)
    listed = sorted([one.document_id async for one in found])
    living = (one for author in authors for one in author.promised.values() if not one.deleted)
    assert listed == sorted(one.document.document_id for one in living)


async def check_search(gyre: Gyre, author: Author, sample: int) -> None:
    """The newest text is found by its own words; that of another tenant never is."""
    live = [one for one in author.promised.values() if one.readable and not one.deleted]
    for promised in live[:sample]:
        words = promised.text.split("\n")[0]
        hits = await gyre.search(words, collection=author.collection, mode="lexical", top_k=3)
        assert hits[0].document_id == promised.document.document_id
        assert hits[0].revision == promised.document.revision
        assert hits[0].text.split("\n")[0] in promised.text


async def check_milvus(
    platform: RunningPlatform, jetstream: JetStreamContext, authors: Sequence[Author]
) -> int:
    """Milvus holds each passage of each newest revision once, and nothing else of the authors'
    tenants and collections; returns how many."""
    cut = ledger.keys_of(await ledger.recorded(jetstream, "INGESTION"))
    rows = await asyncio.to_thread(ledger.milvus_rows, platform)
    total = 0
    for place in {(author.tenant, author.collection) for author in authors}:
        wanted = [one for author in authors if _place(author) == place for one in _live(author)]
        names = [(place[0], one.document.document_id, one.document.revision) for one in wanted]
        expected = Counter(key for name in names for key in cut[name])
        held = Counter(row.key for row in rows if (row.tenant, row.collection) == place)
        assert held == expected, _difference(place, held, expected)
        total += held.total()
    return total


async def check_answers(jetstream: JetStreamContext, noted: Noted) -> int:
    """Every answer that came whole has one record, and no answer ended twice."""
    messages = await ledger.recorded(jetstream, "INFERENCE")
    generated = Counter(e.record.answer_id for _, e in ledger.of_type(messages, AnswerGenerated))
    failed = Counter(e.record.answer_id for _, e in ledger.of_type(messages, AnswerFailed))
    assert len(noted.answers) == len(set(noted.answers))
    assert {name: generated[name] for name in noted.answers} == dict.fromkeys(noted.answers, 1)
    assert set((generated + failed).values()) <= {1}
    return len(generated)


async def check_balances(platform: RunningPlatform, jetstream: JetStreamContext) -> None:
    """Published = applied + dead + pending, for every consumer that keeps receipts."""
    balances = await ledger.balances(platform, jetstream)
    assert all(one.even and not one.pending for one in balances.values()), balances


async def check_stranger(gyre: Gyre, author: Author) -> None:
    """A caller of another tenant sees none of the author's documents."""
    for promised in list(author.promised.values())[:3]:
        try:
            await gyre.documents.get(promised.document.document_id)
        except NotFoundError:
            continue
        raise AssertionError(f"{promised.document.source_uri} is seen by another tenant")


def _live(author: Author) -> list[Promised]:
    return [one for one in author.promised.values() if one.readable and not one.deleted]


def _place(author: Author) -> tuple[str, str]:
    return author.tenant, author.collection


def _difference(place: tuple[str, str], held: Counter[str], expected: Counter[str]) -> str:
    missing, surplus = expected - held, held - expected
    return f"{place}: {missing.total()} missing, {surplus.total()} too many of {held.total()}"
