from __future__ import annotations

from itertools import pairwise

from gyre_inference.domain.passages import Found, Passage, sentences_of
from hypothesis import given
from hypothesis import strategies as st
from inference_world import CANCEL, ROAMING, passage


def test_sentences_keep_the_characters_of_the_document() -> None:
    hit = passage("One line\n  goes on here. Two.  Three is here.", "x")
    lines = [(one.verbatim, one.line) for one in sentences_of(Found((hit,)), 240)]
    assert lines[0] == ("One line\n  goes on here.", "One line goes on here.")


def test_a_sentence_in_two_overlapping_passages_of_a_document_comes_once() -> None:
    first, second = passage(ROAMING, "roaming"), passage(ROAMING[57:], "roaming")
    found = Found((first, Passage(**{**vars(second), "chunk_id": "roaming-2"})))
    assert len(sentences_of(found, 240)) == 3


def test_the_same_sentence_in_two_documents_comes_twice() -> None:
    found = Found((passage(CANCEL, "cancel"), passage(CANCEL, "terms")))
    assert len(sentences_of(found, 240)) == 6


def test_a_long_sentence_is_cut_behind_a_clause() -> None:
    text = "If the light is red, the line is broken; call us at once, and we will help you."
    pieces = [one.line for one in sentences_of(Found((passage(text, "x"),)), 60)]
    assert pieces == [
        "If the light is red, the line is broken; call us at once,",
        "and we will help you.",
    ]


@given(st.text(alphabet="abc ,;.", min_size=1, max_size=300), st.integers(8, 80))
def test_pieces_are_short_and_together_are_the_sentence(text: str, longest: int) -> None:
    hit = Passage("c", "d", 1, 0, text, ((0, len(text)),))
    pieces = sentences_of(Found((hit,)), longest)
    assert all(one.end - one.start <= longest for one in pieces)
    spans = sorted((one.start, one.end) for one in pieces)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
