"""Splits hold questions apart, and keep the shares of slices."""

from __future__ import annotations

from collections import Counter

import pytest
from dataset_world import plain_row, question
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.similarity import Near, bag, families, key, overlap, shingles
from gyre_retraining.domain.splits import split
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["otter", "river", "fee", "eats", "year", "when", "form", "pay", "tax", "claim"]
)
QUESTIONS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
NEAR = 0.7


def divided(rows: list[Row], share: float = 0.2, seed: int = 0) -> dict[str, list[Row]]:
    return split(rows, share=share, near=NEAR, seed=seed, slices=("language",))


@settings(max_examples=150, deadline=None)
@given(st.lists(QUESTIONS, max_size=40), st.floats(0.05, 0.5), st.integers(0, 3))
def test_nearly_the_same_questions_never_straddle_splits(
    asked: list[str], share: float, seed: int
) -> None:
    rows = [plain_row(one, f"It is {place}.") for place, one in enumerate(asked)]
    sides = divided(rows, share, seed)
    assert Counter(row.row_id for side in sides.values() for row in side) == Counter(
        row.row_id for row in rows
    )
    for held in sides["validation"]:
        for taught in sides["train"]:
            assert overlap(bag(held.question), bag(taught.question)) < NEAR


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 120), st.floats(0.05, 0.5), st.integers(0, 5))
def test_questions_that_differ_are_split_by_the_share(count: int, share: float, seed: int) -> None:
    rows = [plain_row(question(number)) for number in range(count)]
    held = len(divided(rows, share, seed)["validation"])
    assert 1 <= held < count
    assert abs(held - share * count) <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["de", "en", "fr"]), min_size=2, max_size=90))
def test_slices_keep_their_shares(languages: list[str]) -> None:
    rows = [
        plain_row(question(number), slices={"language": name})
        for number, name in enumerate(languages)
    ]
    held = Counter(row.slices["language"] for row in divided(rows)["validation"])
    for name, count in Counter(languages).items():
        assert abs(held[name] - 0.2 * count) <= 1


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(20)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = [plain_row(question(number)) for number in range(20)]
    assert divided([rows[place] for place in order]) == divided(rows)


def test_another_seed_draws_others() -> None:
    rows = [plain_row(question(number)) for number in range(60)]
    drawn = [{row.row_id for row in divided(rows, seed=n)["validation"]} for n in range(3)]
    assert len(set(map(frozenset, drawn))) == 3


def test_texts_of_one_document_stay_together() -> None:
    rows = [
        plain_row(
            "",
            form="texts",
            content={"text": f"Text {number}."},
            sources=(("chunk", f"c{number}"), ("document", f"d{number // 5}")),
        )
        for number in range(60)
    ]
    sides = divided(rows)
    documents = [{row.sources[1] for row in side} for side in sides.values()]
    assert documents[0].isdisjoint(documents[1])
    assert all(documents)


@settings(max_examples=200, deadline=None)
@given(st.lists(QUESTIONS, max_size=20), QUESTIONS, st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_near_finds_exactly_those_that_overlap(
    texts: list[str], asked: str, threshold: float
) -> None:
    near = Near(threshold)
    for text in texts:
        near.add(bag(text))
    expected = [
        place for place, text in enumerate(texts) if overlap(bag(text), bag(asked)) >= threshold
    ]
    assert near.find(bag(asked)) == expected


def test_families_are_linked_by_others() -> None:
    texts = ["a b c d", "x y", "b c d e", "c d e f", "Y x!"]
    assert families([bag(one) for one in texts], 0.6) == [0, 1, 0, 0, 1]


def test_scripts_without_blanks_have_words_too() -> None:
    assert overlap(bag("手数料はいくらですか"), bag("手数料はいくらでした")) > 0.6
    assert key("  What IS the ﬁne? ") == "what is the fine"


def test_the_overlap_agrees_with_datasketch() -> None:
    sketches = pytest.importorskip("datasketch")
    one = shingles(" ".join(question(number) for number in range(40)))
    other = shingles(" ".join(question(number) for number in range(10, 50)))
    marks = []
    for words in (one, other):
        sketch = sketches.MinHash(num_perm=512)
        sketch.update_batch([word.encode() for word in sorted(words)])
        marks.append(sketch)
    assert marks[0].jaccard(marks[1]) == pytest.approx(overlap(one, other), abs=0.1)
