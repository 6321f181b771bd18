"""What stays of a source whose user or document was erased: ids and numbers, no content."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from enum import StrEnum

from gyre_retraining.domain.sources import TEXT, ChunkText, Judgement, RecordedAnswer, Review


class Erased(StrEnum):
    """What was erased, and what that leaves of an answer and of what was said about it."""

    NOTHING = "nothing"
    DOCUMENT = "document"
    USER = "user"

    def answer(self, answer: RecordedAnswer) -> RecordedAnswer:
        """Without a document's text there is still the question, which is the user's."""
        if self is Erased.NOTHING:
            return answer
        passages = tuple(replace(one, text="") for one in answer.passages)
        bare = replace(
            answer, completion="", messages=(), prompt_arguments={}, passages=passages, erased=True
        )
        if self is Erased.DOCUMENT:
            return bare
        return replace(bare, question="", metadata={}, end_user="")

    def judgement(self, judgement: Judgement) -> Judgement:
        """Words may quote the document; a number or a choice cannot."""
        said = self is Erased.USER or judgement.value_kind == TEXT
        if self is Erased.NOTHING or not said:
            return judgement
        return replace(judgement, value="", value_kind=TEXT, rater="", erased=True)

    def review(self, review: Review) -> Review:
        if self is Erased.NOTHING:
            return review
        labels = {} if self is Erased.USER else review.labels
        return replace(review, correction="", labels=labels, erased=True)


def textless(chunk: ChunkText) -> ChunkText:
    return replace(chunk, text="", erased=True)


def user_key(tenant: str, end_user: str) -> str:
    """Finds a user without keeping the reference."""
    return hashlib.sha256(f"{tenant}\n{end_user}".encode()).hexdigest()[:32]
