"""The demo knowledge base: everything is found, and its 60 questions are answered or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import pytest
from gyre.retrieval.v1.service_pb2 import GetChunkRequest
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub
from gyre_client import AnswerDone, Document, DocumentState, Gyre
from gyre_demo.questions import Question, read_questions

from tests.platform.running import RunningPlatform

ASKED_AT_ONCE = 4
SENTENCE_FLOOR, CITED_FLOOR, REFUSED_FLOOR = 0.44, 0.68, 0.4


@dataclass(frozen=True)
class Asked:
    """A question and what came of it."""

    question: Question
    answer: AnswerDone

    @property
    def refused(self) -> bool:
        return self.answer.finish_reason == "refused" or not self.answer.citations

    @property
    def cites_sentence(self) -> bool:
        """One of the sentences that answer it."""
        return any(
            says(cited.sentence, wanted.sentence)
            for cited in self.answer.citations
            for wanted in self.question.evidence
        )

    @property
    def cites_article(self) -> bool:
        wanted = {one.article for one in self.question.evidence}
        return any(one.source_uri in wanted for one in self.answer.citations)


def says(cited: str, wanted: str) -> bool:
    """One holds the other; of a table row, which is read as `Column: cell; ...`, all cells."""
    said = plain(cited)
    if wanted.startswith("|"):
        return all(plain(cell) in said for cell in wanted.strip("|").split("|"))
    return plain(wanted) in said or said in plain(wanted)


def plain(text: str) -> str:
    """Words alone, so that list marks and punctuation do not matter."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


@pytest.fixture(scope="module")
def asked(platform: RunningPlatform, demo: dict[str, Document]) -> list[Asked]:
    """All 60 questions with their answers."""

    async def run() -> list[Asked]:
        gate = asyncio.Semaphore(ASKED_AT_ONCE)
        async with platform.client("acme") as gyre:
            return list(await asyncio.gather(*(ask(gyre, one, gate) for one in read_questions())))

    return asyncio.run(run())


async def ask(gyre: Gyre, question: Question, gate: asyncio.Semaphore) -> Asked:
    async with gate:
        events = [one async for one in gyre.answer(question.question)]
    assert isinstance(events[-1], AnswerDone)
    return Asked(question, events[-1])


def share(of: Sequence[bool]) -> float:
    return sum(of) / len(of)


def test_every_article_is_indexed(demo: dict[str, Document]) -> None:
    lost = {
        name: (one.state.value, one.rejection_reason, one.rejection_detail)
        for name, one in demo.items()
        if one.state is not DocumentState.INDEXED
    }
    assert lost == {}
    assert len(demo) >= 40


def test_personal_data_of_the_sample_letter_is_masked(demo: dict[str, Document]) -> None:
    assert demo["billing/sample-letter-disputed-bill.docx"].personal_data_count >= 4


def test_answerable_questions_are_answered_from_what_answers_them(
    asked: list[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    answerable = [one for one in asked if one.question.answer]
    sentence = share([one.cites_sentence for one in answerable])
    either = share([one.cites_sentence or one.cites_article for one in answerable])
    answered = share([not one.refused for one in answerable])
    with capsys.disabled():
        print(
            f"\n{len(answerable)} answerable questions: {answered:.0%} answered, {sentence:.0%} "
            f"cite the sentence, {either:.0%} the sentence or its article"
        )
    assert sentence >= SENTENCE_FLOOR
    assert either >= CITED_FLOOR


def test_questions_without_an_answer_are_refused(
    asked: list[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    unanswerable = [one for one in asked if not one.question.answer]
    refused = share([one.refused for one in unanswerable])
    with capsys.disabled():
        print(f"\n{len(unanswerable)} questions without an answer: {refused:.0%} refused")
    assert refused >= REFUSED_FLOOR


async def test_every_citation_is_verbatim_in_a_passage_in_force(
    asked: list[Asked], platform: RunningPlatform
) -> None:
    citations = [cited for one in asked for cited in one.answer.citations]
    assert citations
    address = platform.environment["GYRE_RETRIEVAL_ADDRESS"]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = RetrievalServiceStub(channel)
        for cited in citations:
            found = await stub.GetChunk(
                GetChunkRequest(chunk_id=cited.chunk_id),
                metadata=(("authorization", "Bearer key-of-acme"),),
                timeout=30,
            )
            assert cited.sentence in found.chunk.text
            assert found.revision.document_id == cited.document_id


def test_an_answer_says_which_sentences_it_cites(asked: list[Asked]) -> None:
    for one in asked:
        for cited in one.answer.citations:
            assert f"[{cited.number}]" in one.answer.text
