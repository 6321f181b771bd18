"""Real edits replayed: 300 adds, changes and deletions of VA.gov's pages."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from gyre_client import Document, DocumentState, Gyre, Hit

from tests.platform.documents import settled
from tests.platform.running import RunningPlatform

COLLECTION = "va-gov"
EVENTS, LONGEST = 300, 5000
QUESTION = re.compile(r"^#{2,6} (.+\?)\s*$", re.M)
Mode = Literal["hybrid", "dense", "lexical"]


@dataclass
class Replayed:
    """What must hold afterwards. pages: path -> newest text; documents: path -> its state."""

    pages: dict[str, str] = field(default_factory=dict)
    deleted: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """(path, heading that is a question) of pages that are found."""
        indexed = [path for path in self.pages if self.documents[path].indexed_revision]
        return [(path, one) for path in indexed for one in QUESTION.findall(self.pages[path])]


def chosen(log: Path) -> dict[str, list[dict[str, Any]]]:
    """Path -> its edits in order; whole histories of some pages, 300 edits in all."""
    histories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(log, "rt") as lines:
        for event in map(json.loads, lines):
            histories[event["path"]].append(event)
    paths = sorted(path for path, edits in histories.items() if fits(edits))
    Random(7).shuffle(paths)
    taken: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        room = EVENTS - sum(map(len, taken.values()))
        taken |= {path: histories[path][:room]} if room else {}
    return taken


def fits(edits: list[dict[str, Any]]) -> bool:
    return len(edits) > 2 and max(len(one.get("content") or "") for one in edits) < LONGEST


async def replay(gyre: Gyre, histories: dict[str, list[dict[str, Any]]]) -> Replayed:
    """Edits of one page in order, those of different pages side by side."""
    state, gate = Replayed(), asyncio.Semaphore(8)
    await asyncio.gather(*(edit(gyre, path, log, state, gate) for path, log in histories.items()))
    ids = {one.document_id for one in state.documents.values()}
    for one in await settled(gyre, ids, COLLECTION):
        state.documents[one.source_uri] = one
    return state


async def edit(
    gyre: Gyre, path: str, log: list[dict[str, Any]], state: Replayed, gate: asyncio.Semaphore
) -> None:
    for event in log:
        async with gate:
            if event["op"] == "delete":
                await gyre.documents.delete(state.documents[path].document_id)
                state.deleted[path] = state.pages.pop(path)
                continue
            done = await gyre.documents.upload(
                event["content"].encode(), source_uri=path, collection=COLLECTION
            )
        state.documents[path] = done.document
        state.revisions[path] = done.document.revision
        state.pages[path] = event["content"]
        state.deleted.pop(path, None)


@pytest.fixture(scope="module")
def replayed(platform: RunningPlatform, shared_data: Path) -> Replayed:
    histories = chosen(shared_data / "kb_va_gov" / "events.jsonl.gz")

    async def run() -> Replayed:
        async with platform.client("acme") as gyre:
            return await replay(gyre, histories)

    return asyncio.run(run())


async def all_hits(gyre: Gyre, replayed: Replayed) -> list[Hit]:
    """What searches for every page, there or deleted, bring up."""
    texts = [*replayed.pages, *replayed.deleted]
    queries = [Path(path).stem.replace("-", " ") for path in texts]
    found = [await gyre.search(one, collection=COLLECTION, top_k=100) for one in queries]
    return [hit for hits in found for hit in hits]


def test_three_hundred_edits_were_replayed(shared_data: Path, replayed: Replayed) -> None:
    histories = chosen(shared_data / "kb_va_gov" / "events.jsonl.gz")
    assert sum(map(len, histories.values())) == EVENTS
    assert len(replayed.pages) > 20
    assert len(replayed.deleted) > 5


def test_every_page_ends_in_its_newest_revision_or_is_refused_for_a_reason(
    replayed: Replayed,
) -> None:
    for path in replayed.pages:
        document = replayed.documents[path]
        assert document.revision == replayed.revisions[path]
        if document.state is DocumentState.REJECTED:
            assert document.rejection_reason in ("duplicate", "no_text"), document
        else:
            assert document.state is DocumentState.INDEXED
            assert document.indexed_revision == document.revision


async def test_exactly_the_newest_revisions_are_found(gyre: Gyre, replayed: Replayed) -> None:
    in_force = {one.document_id: one.indexed_revision for one in replayed.documents.values()}
    hits = await all_hits(gyre, replayed)
    assert {(hit.document_id, hit.revision) for hit in hits} <= set(in_force.items())
    indexed = {path for path in replayed.pages if replayed.documents[path].indexed_revision}
    assert indexed <= {hit.source_uri for hit in hits}


async def test_deleted_pages_are_not_found(gyre: Gyre, replayed: Replayed) -> None:
    hits = await all_hits(gyre, replayed)
    assert {hit.source_uri for hit in hits}.isdisjoint(replayed.deleted)
    states = {replayed.documents[path].state for path in replayed.deleted}
    assert states == {DocumentState.DELETED}


async def test_headings_that_are_questions_find_their_section(
    gyre: Gyre, replayed: Replayed, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = replayed.questions
    modes: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
    figures = {mode: await hits_at(gyre, questions, mode) for mode in modes}
    with capsys.disabled():
        print(f"\n{len(questions)} headings that are questions, to their own section:")
        for mode, found in figures.items():
            name = "lexical (BM25 alone)" if mode == "lexical" else mode
            print(f"  {name:20} " + "  ".join(f"hit@{k} {share:.2f}" for k, share in found.items()))
    assert len(questions) > 20
    assert figures["hybrid"][10] >= max(0.8, figures["lexical"][10] - 0.05)


async def hits_at(gyre: Gyre, questions: list[tuple[str, str]], mode: Mode) -> dict[int, float]:
    """k -> share of the questions whose section is among the first k passages."""
    ranks = []
    for path, question in questions:
        hits = await gyre.search(question, collection=COLLECTION, mode=mode, top_k=10)
        ranks.append(next((at for at, hit in enumerate(hits) if is_in(hit, path, question)), 99))
    return {k: sum(rank < k for rank in ranks) / len(ranks) for k in (1, 3, 10)}


def is_in(hit: Hit, path: str, question: str) -> bool:
    """The passage stands below that heading of that page."""
    return hit.source_uri == path and any(plain(question) in plain(h) for h in hit.heading_path)


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text).split()).lower()
