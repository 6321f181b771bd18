"""What the assembly of datasets needs from the world. A time: seconds since 1970 (UTC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    RecordedAnswer,
    Review,
    Snapshot,
    StateChange,
)


class SourceStore(Protocol):
    """Answers, judgements, reviews and passages as they were heard, and since when.

    Every write may be repeated and may come in any order: the first of a key stays. Each write
    opens one transaction; in a handler it is the event's own, so the event is applied with it.
    """

    async def put_answer(self, tenant: str, answer: RecordedAnswer) -> None:
        """Keeps it, without content where its user or a document shown was erased before."""
        ...

    async def put_judgement(self, tenant: str, judgement: Judgement) -> None:
        """Keeps this revision; its answer may come later."""
        ...

    async def put_state(self, tenant: str, change: StateChange) -> None:
        """Keeps what became of a revision; the judgement itself may come later."""
        ...

    async def put_review(self, tenant: str, review: Review) -> None:
        """Keeps it; its answer may come later."""
        ...

    async def put_chunks(self, tenant: str, chunks: Sequence[ChunkText]) -> None:
        """Keeps passages, without text where their revision was erased before."""
        ...

    async def erase_user(self, tenant: str, end_user: str, moment: float) -> int:
        """Removes the content of the user's answers up to `moment`, and of what was said about
        them or by the user as a rater; how many answers. Those that arrive later follow."""
        ...

    async def erase_document(self, tenant: str, document_id: str, revision: int) -> int:
        """Removes the text of the document's passages up to `revision`, and messages, completion
        and corrections of answers that were shown one; how many passages and answers. Those
        that arrive later follow. The questions stay: they are not the document's."""
        ...

    async def snapshot(self, tenant: str, as_of: float) -> Snapshot:
        """What was known at `as_of`; the same again, but for erasures. `as_of` must lie some
        seconds back: what is being written at this moment is not seen."""
        ...
