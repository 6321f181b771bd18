"""People who use the platform while it is hurt: they write and ask, and note what was promised."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from gyre_client import AnswerDone, AnswerStarted, Document, DocumentState, Gyre, GyreError

Result = TypeVar("Result")
UNREADABLE = b"\x7fELF\x02\x01\x01" + bytes(64)


@dataclass
class Promised:
    """The last acknowledged word on one document. text: what must be found; empty for nothing.

    document: as the acknowledgement said it. readable: whether it can be indexed at all.
    """

    document: Document
    text: str
    readable: bool = True

    @property
    def deleted(self) -> bool:
        return self.document.state is DocumentState.DELETED


@dataclass
class Noted:
    """Counts of what happened; `refused` by status, each of them repeated until acknowledged.

    unanswered: by status and why.
    """

    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    answers: list[str] = field(default_factory=list)


class Author:
    """Uploads, changes and deletes documents of its own; repeats each call until acknowledged."""

    def __init__(
        self, gyre: Gyre, place: tuple[str, str], name: str, seed: str, noted: Noted
    ) -> None:
        """place: tenant of `gyre`, and a collection of the test's own."""
        self.tenant, self.collection = place
        self.promised: dict[str, Promised] = {}
        self._gyre = gyre
        self._name = name
        self._random = Random(seed)
        self._noted = noted
        self._count = 0
        self.done = 0

    def __repr__(self) -> str:
        return f"Author({self._name!r}, {self._noted})"

    async def write(self, stopped: asyncio.Event, pause: float) -> None:
        """Until `stopped`; what was begun is finished."""
        while not stopped.is_set():
            await self.write_once()
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))

    async def write_once(self) -> None:
        known = [name for name, one in self.promised.items() if one.readable]
        match self._random.choices(("upload", "update", "delete"), (5, 3, 1))[0]:
            case "update" if known:
                await self.upload(self._random.choice(known), "updates")
            case "delete" if known:
                await self.delete(self._random.choice(known))
            case _:
                name = f"{self._name}-{len(self.promised)}.md"
                await self.upload(name, "uploads", readable=self._random.random() > 0.1)

    async def upload(self, name: str, kind: str, *, readable: bool = True) -> None:
        text = self._text(name) if readable else ""
        content = text.encode() if readable else UNREADABLE + self._mark().encode()
        uploaded = await self._insist(
            kind,
            lambda: self._gyre.documents.upload(
                content, source_uri=name, collection=self.collection
            ),
        )
        self.promised[name] = Promised(uploaded.document, text, readable)

    async def delete(self, name: str) -> None:
        document_id = self.promised[name].document.document_id
        document = await self._insist("deletions", lambda: self._gyre.documents.delete(document_id))
        self.promised[name] = Promised(document, "")

    def _text(self, name: str) -> str:
        """A few sentences that no other revision shares."""
        mark, price = self._mark(), self._random.randint(5, 99)
        lines = [
            f"# Tariff {mark}",
            f"The tariff {mark} of the page {name} costs {price} euros a month.",
            f"Whoever chose {mark} may leave it at the end of any month.",
            *(f"Rule {n} of {mark}: {self._mark()}." for n in range(self._random.randint(1, 30))),
        ]
        return "\n\n".join(lines)

    def _mark(self) -> str:
        self._count += 1
        letters = "".join(self._random.choices("bdfgklmnprstvz", k=8))
        return f"{letters}{self._name}x{self._count}"

    async def _insist(self, kind: str, call: Callable[[], Awaitable[Result]]) -> Result:
        while True:
            try:
                done = await call()
            except GyreError as error:
                self._noted.refused[error.status] += 1
                await asyncio.sleep(0.2)
            else:
                self._noted.acknowledged[kind] += 1
                self.done += 1
                return done


class Asker:
    """Asks and searches; notes the ids of the answers that came whole."""

    def __init__(self, gyre: Gyre, collection: str, seed: str, noted: Noted) -> None:
        self._gyre = gyre
        self._collection = collection
        self._random = Random(seed)
        self._noted = noted
        self.done = 0

    def __repr__(self) -> str:
        return f"Asker({self._collection!r}, {self._noted})"

    async def ask(self, authors: list[Author], stopped: asyncio.Event, pause: float) -> None:
        while not stopped.is_set():
            author = self._random.choice(authors)
            if author.promised:
                await self.ask_once(self._random.choice(list(author.promised)))
            await asyncio.sleep(pause)

    async def ask_once(self, name: str) -> None:
        answer_id = ""
        question = f"What does the tariff of the page {name} cost?"
        try:
            async for event in self._gyre.answer(question, collection=self._collection, timeout=20):
                if isinstance(event, AnswerStarted):
                    answer_id = event.answer_id
                elif isinstance(event, AnswerDone):
                    self._noted.answers.append(answer_id)
                    self.done += 1
        except GyreError as error:
            self._noted.unanswered[f"{error.status}: {error.detail}"] += 1
