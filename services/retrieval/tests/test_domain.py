"""Vectors, words, questions and order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gyre_retrieval.domain.errors import PartRefused, QueryInvalid
from gyre_retrieval.domain.identity import digest
from gyre_retrieval.domain.index import index_for
from gyre_retrieval.domain.passage import Passage
from gyre_retrieval.domain.query import Conditions, Found, Mode, Query, Route
from gyre_retrieval.domain.ranking import Fusion, FusionMethod, hits_of, in_order
from gyre_retrieval.domain.terms import query_terms, terms_of
from gyre_retrieval.domain.vector import vector_from
from hypothesis import given
from hypothesis import strategies as st
from retrieval_builders import key, part, passage

HERE = Conditions("acme", "default")
BY_RANKS = Fusion(FusionMethod.RANKS, {Route.DENSE: 1.0, Route.LEXICAL: 1.0}, 100, k=60.0)
BY_SCORES = Fusion(FusionMethod.SCORES, {Route.DENSE: 0.4, Route.LEXICAL: 0.6}, 100)


def unit(*numbers: float) -> bytes:
    vector = np.array(numbers, dtype="<f4")
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def test_a_unit_vector_in_little_endian_is_read() -> None:
    assert vector_from(unit(3, 4), 2).tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("data", "dimension", "reason"),
    [
        (unit(1, 2), 3, "wrong_dimension"),
        (unit(1, 2)[:-1], 2, "wrong_dimension"),
        (b"", 0, "wrong_dimension"),
        (np.array([np.nan, 1], dtype="<f4").tobytes(), 2, "vector_not_finite"),
        (np.array([np.inf, 1], dtype="<f4").tobytes(), 2, "vector_not_finite"),
        (np.zeros(2, dtype="<f4").tobytes(), 2, "vector_not_unit"),
        (np.array([2, 0], dtype="<f4").tobytes(), 2, "vector_not_unit"),
        (np.array([3e38, 3e38], dtype="<f4").tobytes(), 2, "vector_not_unit"),
        (np.array([1, 0], dtype=">f4").tobytes(), 2, "vector_not_unit"),
    ],
)
def test_a_vector_that_would_spoil_the_index_is_refused(
    data: bytes, dimension: int, reason: str
) -> None:
    with pytest.raises(PartRefused) as refusal:
        vector_from(data, dimension)
    assert refusal.value.reason == reason


def test_a_part_outside_its_count_is_refused() -> None:
    with pytest.raises(PartRefused):
        part(key("d"), ["x"], part_index=1, part_count=1)


def test_a_part_with_a_chunk_twice_is_refused() -> None:
    whole = part(key("d"), ["x"])
    with pytest.raises(PartRefused):
        dataclasses.replace(whole, passages=whole.passages * 2)


def test_words_of_one_stem_are_one_term() -> None:
    assert terms_of(["Cancelling cancelled"], "en") == ["cancel", "cancel"]
    assert terms_of(["Kündigungen Kündigung"], "de") == ["kundig", "kundig"]


def test_stop_words_are_no_terms_in_their_language_only() -> None:
    assert terms_of(["the die"], "en") == ["die"]
    assert terms_of(["the die"], "de") == ["the"]
    assert set(query_terms("the die")) == {"the", "die"}


def test_possessives_and_quotes_are_no_part_of_a_word() -> None:
    assert terms_of(["customer's customer\u2019s 'customer'"], "en") == ["custom"] * 3


@given(st.text(max_size=200))
def test_terms_are_plain_words_whatever_the_text(text: str) -> None:
    for term in [*query_terms(text), *terms_of([text], "de")]:
        assert term
        assert not any(character.isspace() or character in "\"'\\" for character in term)


@given(st.lists(st.text(max_size=5), max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_different_parts_have_different_digests(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


def test_indexes_of_similar_names_differ() -> None:
    names = {
        index_for(collection, embedder, dimension).name
        for collection in ("a-b", "a_b")
        for embedder in ("e1", "e2")
        for dimension in (3, 4)
    }
    assert len(names) == 8
    aliases = {index_for(collection, "e", 3).alias for collection in ("a-b", "a_b")}
    assert len(aliases) == 2


def test_a_question_says_all_that_is_wrong_with_it() -> None:
    conditions = Conditions("acme", "No Such!", languages=frozenset(map(str, range(300))))
    with pytest.raises(QueryInvalid) as invalid:
        Query(" ", Mode.HYBRID, 101, conditions, float("nan"))
    assert set(invalid.value.violations) == {
        "collection",
        "query",
        "top_k",
        "minimum_score",
        "filter.languages",
    }


def test_equal_scores_are_ordered_by_place() -> None:
    found = [
        Found(passage(key(name), "x", ordinal=n).passage, 1.0) for name in "ba" for n in (1, 0)
    ]
    places = [
        (one.passage.document.document_id, one.passage.chunk.ordinal) for one in in_order(found)
    ]
    assert places == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def found_by_both() -> tuple[list[Passage], dict[Route, list[Found]]]:
    """The second passage is the dense route's second and the lexical route's first."""
    one, two, three = passages = [passage(key(name), "x").passage for name in "abc"]
    dense = [Found(one, 0.8), Found(two, 0.4)]
    lexical = [Found(two, 10.0), Found(three, 5.0)]
    return passages, {Route.DENSE: dense, Route.LEXICAL: lexical}


def test_fusion_by_ranks_puts_first_what_both_routes_found() -> None:
    (one, two, three), rankings = found_by_both()
    hits = hits_of(Mode.HYBRID, rankings, BY_RANKS)
    assert [hit.passage for hit in hits] == [two, one, three]
    assert hits[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert (hits[0].routes[Route.LEXICAL].rank, hits[0].routes[Route.DENSE].rank) == (1, 2)
    assert Route.LEXICAL not in hits[1].routes


def test_fusion_by_scores_adds_what_each_route_thinks_compared_with_its_best() -> None:
    (one, two, three), rankings = found_by_both()
    hits = hits_of(Mode.HYBRID, rankings, BY_SCORES)
    assert [hit.passage for hit in hits] == [two, one, three]
    assert [hit.score for hit in hits] == pytest.approx([0.4 / 2 + 0.6, 0.4, 0.6 / 2])


def test_fusion_by_scores_bears_routes_that_found_nothing_good() -> None:
    one = passage(key("a"), "x").passage
    hits = hits_of(Mode.HYBRID, {Route.DENSE: [Found(one, -0.1)], Route.LEXICAL: []}, BY_SCORES)
    assert [(hit.passage, hit.score) for hit in hits] == [(one, 0.0)]


def test_conditions_are_checked_on_the_passage_itself() -> None:
    mine = passage(key("d"), "x", metadata={"team": "a"}).passage
    assert Conditions("acme", "default", metadata={"team": "a"}).allow(mine)
    assert not Conditions("rival", "default").allow(mine)
    assert not Conditions("acme", "other").allow(mine)
    assert not Conditions("acme", "default", metadata={"team": "b"}).allow(mine)
    assert not Conditions("acme", "default", languages=frozenset({"de"})).allow(mine)
    assert not Conditions("acme", "default", document_ids=frozenset({"e"})).allow(mine)
