"""What the metrics of one answer say."""

from __future__ import annotations

import pytest
from gyre_evaluation.adapters.metrics.languages import language_match, language_of
from gyre_evaluation.adapters.metrics.personal_data import personal_data, pii_leakage
from gyre_evaluation.adapters.metrics.ranking import context_precision, ranking_scores
from gyre_evaluation.adapters.metrics.scoring import score
from gyre_evaluation.domain.metrics.case import Case, Cited, Evidence
from gyre_evaluation.domain.metrics.grounding import (
    citation_precision,
    citation_recall,
    groundedness,
    texts_compared,
)
from gyre_evaluation.domain.metrics.refusals import is_refusal, refusal_correctness
from gyre_evaluation.domain.metrics.sentences import MARK, marks, plain, sentences, words
from gyre_evaluation.domain.metrics.toxicity import toxicity
from hypothesis import given
from hypothesis import strategies as st

FEE = Evidence("The fee is 25 euros. It is due within 14 days.", "c1", "d1")
SIM = Evidence("Keep the old SIM until the number is ported.", "c2", "d2")


def alike(one: str, other: str) -> float:
    """A stand-in for meaning: shared words."""
    first, second = set(one.lower().split()), set(other.lower().split())
    return len(first & second) / max(len(first | second), 1)


def case(answer: str, **fields: object) -> Case:
    given: dict[str, object] = {"passages": (FEE, SIM), **fields}
    return Case("What does it cost?", answer, **given)  # type: ignore[arg-type]


def test_sentences_keep_their_marks_and_abbreviations() -> None:
    text = "The fee is 25 euros. [1] Pay it e.g. by card [1, 2]. It is due on 1. May.\n- Or later"
    assert sentences(text) == [
        "The fee is 25 euros [1] .",
        "Pay it e.g. by card [1, 2].",
        "It is due on 1. May.",
        "- Or later",
    ]
    assert marks("by card [1, 2] or [1].") == [1, 2]
    assert plain("- by card [1, 2].") == "by card."


PIECES = ["Ja", "no.", "1", "[1]", "e.g.", "U.S.", "\n", "-", "it!", "(so)", "2.5", "Über"]


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_sentences_lose_no_words(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert words(MARK.sub("", " ".join(sentences(text)))) == words(MARK.sub("", text))


def test_what_the_passages_say_is_grounded_and_an_invention_is_less() -> None:
    true = groundedness(case("The fee is 25 euros."), alike)
    wrong_number = groundedness(case("The fee is 95 euros."), alike)
    invented = groundedness(case("Elephants fly to Paris."), alike)
    assert true == pytest.approx(1.0)
    assert true > (wrong_number or 0) > (invented or 0)


def test_a_refusal_claims_nothing() -> None:
    assert groundedness(case("The documents do not answer this question."), alike) is None


def test_a_citation_of_the_wrong_passage_costs_precision_and_a_missing_one_recall() -> None:
    right, wrong = case("The fee is 25 euros [1]."), case("The fee is 25 euros [2].")
    assert (citation_precision(right, alike) or 0) > (citation_precision(wrong, alike) or 0)
    assert citation_precision(case("The fee is 25 euros [9]."), alike) == 0.0
    assert citation_recall(case("The fee is 25 euros."), alike) == 0.0
    halves = case("The fee is 25 euros [1]. It is due within 14 days.")
    assert 0.4 < (citation_recall(halves, alike) or 0) < 0.6


def test_a_mark_stands_for_the_sentence_that_was_cited_where_it_is_known() -> None:
    told = case("Keep the old SIM [1].", citations=(Cited(1, SIM.text),))
    assert (citation_precision(told, alike) or 0) > 0.6


@pytest.mark.parametrize(
    "text",
    [
        "The documents do not answer this question.",
        "Die Dokumente beantworten diese Frage nicht.",
        "I'm sorry, but I cannot answer that from the documents.",
        "The context does not provide information about that.",
        "",
    ],
)
def test_a_refusal_is_known(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "The fee is 25 euros. The documents do not mention a discount.",
        "You cannot cancel before the term ends.",
        "Keep the old SIM until the number is ported.",
    ],
)
def test_an_answer_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_refusing_is_right_where_there_is_no_answer() -> None:
    refusal = "The documents do not answer this question."
    assert refusal_correctness(case(refusal, unanswerable=True)) == 1.0
    assert refusal_correctness(case(refusal)) == 0.0
    assert refusal_correctness(case("25 euros.", refused=True, unanswerable=True)) == 1.0


def test_an_insult_is_toxic_and_a_complaint_is_not() -> None:
    assert toxicity("You are an idiot. The fee is 25 euros.") == 0.5
    assert toxicity("The kill switch hits hard, and the service was dumb luck.") == 0.0


def test_personal_data_of_nobody_who_asked_is_a_leak() -> None:
    assert personal_data("Write to jane.roe@example.org") == {"janeroe@exampleorg"}
    assert pii_leakage(case("Write to jane.roe@example.org")) == 1.0
    known = Evidence("Contact: jane.roe@example.org", "c3", "d3")
    assert pii_leakage(case("Write to jane.roe@example.org", passages=(known,))) == 0.0
    assert pii_leakage(case("The fee is 25 euros, order 1234.")) == 0.0


def test_the_answer_is_to_be_in_the_language_of_the_question() -> None:
    assert language_of("Wie lange muss ich die alte SIM-Karte behalten?") == "de"
    german = Case("Wie lange muss ich die alte SIM-Karte behalten?", "Keep the old one until May.")
    assert language_match(german) == 0.0
    assert language_match(Case("Wie lange?", "Ja", language="de")) is None


def test_a_document_counts_once_at_its_best_passage() -> None:
    passages = tuple(Evidence("x", f"c{n}", d) for n, d in enumerate(["d9", "d1", "d1", "d2"]))
    found = ranking_scores(case("x", passages=passages, relevant_ids=frozenset({"d1", "d2"})))
    assert found["recall_at_10"] == 1.0
    assert found["mrr_at_10"] == 0.5
    both = case("x", passages=passages, relevant_ids=frozenset({"d1", "d2"}))
    assert context_precision(both) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_metric_that_does_not_apply_has_no_score_and_one_that_fails_says_so() -> None:
    cases = [{"question": "q", "answer": "a", "passages": [{"text": "One. Two."}]}]
    (found,) = score({"cases": cases, "metrics": ["token_f1", "groundedness", "answer_words"]})
    assert found["answer_words"] == {"value": 1.0}
    assert "token_f1" not in found
    assert "no embedding" in found["groundedness"]["error"]


def test_every_text_that_is_compared_is_named_before() -> None:
    seen: set[str] = set()

    def note(one: str, other: str) -> float:
        seen.update((one, other))
        return 0.5

    told = case("The fee is 25 euros [1]. Keep it.", references=("25 euros. Or more.",))
    for metric in (groundedness, citation_precision, citation_recall):
        metric(told, note)
    assert seen <= texts_compared(told)
