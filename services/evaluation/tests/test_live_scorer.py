"""Live answers are scored by the real metrics, in their own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
import pytest_asyncio
from gyre.inference.v1.answer_pb2 import Citation, FinishReason
from gyre.inference.v1.events_pb2 import RetrievedChunk
from gyre_evaluation.adapters.judges import Judges
from gyre_evaluation.adapters.live_scorer import ScoringLiveAnswers
from gyre_evaluation.adapters.question_vectors import TenantQuestionVectors
from gyre_evaluation.adapters.scoring import WorkerScoring
from gyre_evaluation.adapters.worker.jobs import new_worker
from gyre_evaluation.domain.metrics.metric import Source
from live_world import answer, vector_of

QUESTION = "How can I cancel my contract with you before it ends?"
PASSAGE = "You can cancel your contract one month before it ends."


in_one_loop = pytest.mark.asyncio(loop_scope="module")


class Bins:
    async def vectors(self, tenant: str, texts: Iterable[str]) -> dict[str, bytes]:
        return {text: vector_of(text) for text in texts if text.strip()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scorer() -> AsyncIterator[ScoringLiveAnswers]:
    """One for all tests of the module: what it imports takes seconds."""
    async with new_worker(memory=2_000_000_000, seconds=600) as worker:
        scoring = WorkerScoring(worker, Bins(), Judges([], concurrency=1))
        yield ScoringLiveAnswers(scoring, Source.RULE, worker, {"acme"})


def cited(**facts: object):
    known = {
        "completion": f"{PASSAGE} [1]",
        "citations": [Citation(number=1, sentence=PASSAGE)],
        "retrieved_chunks": [RetrievedChunk(chunk_id="c", rank=1, score=0.9)],
        "prompt_arguments": {"sentences": f'[{{"number": 1, "text": "{PASSAGE}"}}]'},
    }
    return answer(1, QUESTION, **{**known, **facts})


@in_one_loop
async def test_a_grounded_answer_is_found_grounded(scorer: ScoringLiveAnswers) -> None:
    measured = await scorer.score(cited())
    scores = {one.metric: one.value for one in measured.scores}
    assert measured.language == "en"
    assert scores["groundedness"] == pytest.approx(1.0)
    assert scores["citation_precision"] == pytest.approx(1.0)
    assert (scores["refusal"], scores["toxicity"], scores["pii_leakage"]) == (0.0, 0.0, 0.0)
    assert scores["language_match"] == 1.0
    assert not [one for one in measured.scores if one.error]


@in_one_loop
async def test_an_invention_is_less_grounded(scorer: ScoringLiveAnswers) -> None:
    invented = "Refunds arrive within 3 working days on your credit card. [1]"
    good, bad = await scorer.score(cited()), await scorer.score(cited(completion=invented))

    def grounded(measured: object) -> float:
        return next(one.value for one in measured.scores if one.metric == "groundedness")

    assert grounded(bad) < grounded(good) - 0.3


@in_one_loop
async def test_a_refusal_is_a_refusal_and_claims_nothing(scorer: ScoringLiveAnswers) -> None:
    refused = cited(
        completion="The documents do not say.",
        finish_reason=FinishReason.FINISH_REASON_REFUSED,
        citations=[],
    )
    scores = {one.metric: one.value for one in (await scorer.score(refused)).scores}
    assert scores["refusal"] == 1.0
    assert scores.get("groundedness") is None


@in_one_loop
async def test_metrics_that_need_what_no_live_answer_has_are_not_asked(
    scorer: ScoringLiveAnswers,
) -> None:
    named = {one.metric for one in (await scorer.score(cited())).scores}
    assert named.isdisjoint({"exact_match", "ndcg_at_10", "refusal_correctness", "bleu"})


@in_one_loop
async def test_a_tenant_without_a_key_has_the_metrics_that_do_without_meaning() -> None:
    async with new_worker(memory=2_000_000_000, seconds=600) as worker:
        scoring = WorkerScoring(worker, Bins(), Judges([], concurrency=1))
        scorer = ScoringLiveAnswers(scoring, Source.RULE, worker, set())
        named = {one.metric for one in (await scorer.score(cited())).scores}
    assert "answer_words" in named
    assert named.isdisjoint({"groundedness", "answer_relevance"})
    assert await TenantQuestionVectors(Bins(), {"acme"}).vectors("other", ["a"]) == [b""]
