from __future__ import annotations

import re
from itertools import pairwise

from gyre_inference.domain.citations import CitationMarks
from gyre_inference.domain.passages import Sentence
from hypothesis import given
from hypothesis import strategies as st
from inference_world import ROAMING, passage

HIT = passage(ROAMING, "roaming")
SENTENCES = [Sentence(HIT, start, end) for start, end in HIT.spans]


def read(pieces: list[str], *, leading: bool = False) -> tuple[str, list[int], int]:
    marks = CitationMarks(SENTENCES, leading=leading)
    text = "".join(map(marks.feed, pieces)) + marks.finish()
    return text, [cited.number for cited in marks.citations], marks.dropped


def test_marks_of_known_sentences_stay_and_are_cited_in_order_of_mention() -> None:
    assert read(["It is free [2], and [1]. Again [2]."]) == (
        "It is free [2], and [1]. Again [2].",
        [2, 1],
        0,
    )


def test_marks_of_unknown_sentences_are_taken_out() -> None:
    assert read(["So it is [9]. Or [1, 7]."]) == ("So it is. Or [1].", [1], 2)


def test_a_mark_cut_into_pieces_is_one_mark() -> None:
    assert read(["Free [", "1", "] here [", "8", "]."]) == ("Free [1] here.", [1], 1)


def test_brackets_that_are_no_marks_pass() -> None:
    assert read(["a[b] [x", "y] [", "]"]) == ("a[b] [xy] []", [], 0)


def test_only_the_first_mark_of_a_quotation_counts() -> None:
    text = "[1] Roaming costs [2] as much [77]."
    assert read([text[:2], text[2:20], text[20:]], leading=True) == (text, [1], 0)


def test_a_quotation_without_a_mark_cites_nothing() -> None:
    assert read(["Roaming [1] is free."], leading=True) == ("Roaming [1] is free.", [], 0)


@given(st.text(alphabet="ab [](),.123456\n", max_size=60), st.lists(st.integers(0, 60)))
def test_the_way_a_text_is_cut_into_pieces_changes_nothing(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert read(pieces) == read([text])
    assert read(pieces, leading=True) == read([text], leading=True)


@given(st.text(alphabet="ab [],123456", max_size=60))
def test_every_mark_that_is_shown_names_a_sentence_and_is_cited(text: str) -> None:
    shown, cited, _ = read(list(text))
    numbers = [
        int(number)
        for mark in re.findall(r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]", shown)
        for number in re.findall(r"\d+", mark)
    ]
    assert set(numbers) == set(cited)
    assert all(1 <= number <= len(SENTENCES) for number in numbers)
