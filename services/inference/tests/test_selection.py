from __future__ import annotations

from dataclasses import replace

import pytest
from gyre_inference.domain.coverage import Support, support
from gyre_inference.domain.passages import Found, Passage, sentences_of
from gyre_inference.domain.selection import Weights, context, score, with_meaning
from gyre_inference.domain.words import held_terms, language_of, terms
from hypothesis import given
from hypothesis import strategies as st
from inference_world import ROAMING, help_centre, passage

SENTENCES = sentences_of(Found(tuple(help_centre())), 240)
WEIGHTS = Weights()


def best(question: str) -> str:
    return score(question, SENTENCES, WEIGHTS).ranked[0].sentence.line


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("What does a megabyte cost outside the EU?", "Outside of it"),
        ("How do I switch roaming on?", "You switch roaming on"),
        ("When do you confirm a cancellation?", "We confirm every"),
        ("Wann bestätigen Sie meine Kündigung?", "Wir bestätigen jede"),
    ],
)
def test_the_sentence_that_shares_rare_words_is_best(question: str, start: str) -> None:
    assert best(question).startswith(start)


def test_a_heading_lifts_the_sentences_below_it() -> None:
    one = passage("It takes two days.", "a", heading_path=("Number porting",))
    other = passage("It takes two weeks.", "b", heading_path=("Repairs",))
    ranked = score("How long does porting take?", sentences_of(Found((other, one)), 240), WEIGHTS)
    assert ranked.ranked[0].sentence.passage.document_id == "a"


def test_the_nearer_passage_wins_between_equal_words() -> None:
    near, far = passage(ROAMING, "near", dense=0.8), passage(ROAMING, "far", dense=0.2)
    ranked = score("roaming settings", sentences_of(Found((far, near)), 240), WEIGHTS).ranked
    assert ranked[0].sentence.passage.document_id == "near"


def test_meaning_reorders_the_candidates_and_drops_the_rest() -> None:
    scoring = score("roaming", SENTENCES, WEIGHTS)
    again = with_meaning(scoring, [0.0, 1.0])
    assert [item.sentence for item in again.ranked] == [
        scoring.ranked[1].sentence,
        scoring.ranked[0].sentence,
    ]


def test_a_question_about_something_else_is_not_covered() -> None:
    inside = score("What does a megabyte cost outside the European Union?", SENTENCES, WEIGHTS)
    outside = score("Which planet has the most moons?", SENTENCES, WEIGHTS)
    assert support(inside).words > 0.5
    assert support(outside).words == 0.0


def test_a_question_of_function_words_is_not_covered() -> None:
    assert support(score("Why is that so?", SENTENCES, WEIGHTS)).words == 0.0


@given(st.text(max_size=80))
def test_support_is_a_share_whatever_is_asked(question: str) -> None:
    scoring = score(question, SENTENCES, WEIGHTS)
    assert 0.0 <= support(scoring).score <= 1.0 + 1e-9
    assert len(scoring.ranked) == len(SENTENCES)


def test_no_sentences_support_nothing() -> None:
    nothing = support(score("anything", [], WEIGHTS))
    assert nothing == Support(0.0, None, None)
    assert nothing.score < 0.5


def test_support_grows_with_each_thing_that_speaks_for_an_answer() -> None:
    near = sentences_of(Found((passage(ROAMING, "near", dense=0.6),)), 240)
    compared = with_meaning(score("roaming", near, WEIGHTS), [0.1, 0.7])
    known = support(compared)
    assert (known.words, known.sentence, known.passage) == (1.0, 0.7, 0.6)
    for more in ({"words": 0.2}, {"sentence": 0.2}, {"passage": 0.2}):
        assert replace(known, **more).score < known.score


@pytest.mark.parametrize("sentence", [None, 0.2])
@pytest.mark.parametrize("passage", [None, 0.2])
def test_little_support_is_too_little_whatever_could_be_measured(
    sentence: float | None, passage: float | None
) -> None:
    assert Support(0.1, sentence, passage).score < 0.5
    strong = Support(1.0, sentence and 0.9, passage and 0.9)
    assert strong.score > 0.5


def test_a_sentence_is_compared_below_its_heading() -> None:
    (sentence,) = sentences_of(Found((passage("30 GB.", "a", heading_path=("Go", "M")),)), 240)
    assert context(sentence) == "M: 30 GB."


def test_a_number_is_preferred_where_one_is_asked_for() -> None:
    for amount in ("5 euros", "five euros"):
        both = passage(f"The fee is on your bill. The fee is {amount}.", "fee")
        ranked = score("How much is the fee?", sentences_of(Found((both,)), 240), WEIGHTS).ranked
        assert ranked[0].sentence.line == f"The fee is {amount}."


def test_a_sentence_that_only_asks_answers_nothing() -> None:
    text = "How long does porting take? Porting takes two days."
    asking = Passage("p", "p", 1, 0, text, ((0, 27), (28, 51)))
    ranked = score("How long does porting take?", sentences_of(Found((asking,)), 240), WEIGHTS)
    assert ranked.ranked[0].sentence.line == "Porting takes two days."


def test_a_german_word_is_found_in_a_compound() -> None:
    asked = terms("Wo steckt das Fax der Hausverwaltung?", "de")
    assert held_terms(asked, "Ein Faxgerät der Verwaltung", "de") == {"fax", "hausverwalt"}
    assert held_terms(["rat"], "Das Rathaus", "en") == frozenset()


def test_meaning_counts_little_in_a_language_the_model_does_not_know() -> None:
    assert WEIGHTS.of("de").sentence < WEIGHTS.of("en").sentence == WEIGHTS.sentence


def test_languages_are_told_by_their_function_words() -> None:
    assert language_of("Wie kann ich meinen Vertrag kündigen?") == "de"
    assert language_of("How can I cancel my contract?") == "en"
    assert language_of("eSIM", otherwise="de") == "de"


def test_forms_of_a_word_are_one_term() -> None:
    assert terms("Cancelled cancellations", "en") == terms("cancel cancellation", "en")
    assert set(terms("Rechnungen der Rechnung", "de")) == {"rechnung"}
