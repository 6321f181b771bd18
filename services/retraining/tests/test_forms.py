"""Rows of each form, and which sources make none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dataset_world import (
    answer,
    busy,
    chunk,
    correction,
    fact,
    passage_thumb,
    question,
    settings,
    snapshot,
    thumb,
)
from gyre_retraining.domain.assemble import assemble
from gyre_retraining.domain.forms import rows_of
from gyre_retraining.domain.lexical import LexicalIndex
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.scales import Scale, goodness, review_goodness
from gyre_retraining.domain.sifting import sift
from gyre_retraining.domain.sources import (
    CATEGORY,
    NUMBER,
    Review,
    Snapshot,
    State,
)


def rows(form: str, sources: Snapshot, **changes: object) -> list[Row]:
    return rows_of(sift(sources, settings(form, **changes), {})[0])


def left_out(sources: Snapshot, form: str = "thumbs", **changes: object) -> dict[str, int]:
    counts = sift(sources, settings(form, **changes), {})[1]
    return {one.filter: one.rows for one in counts if one.rows}


def test_a_correction_and_a_good_answer_are_demonstrations_and_a_bad_answer_is_none() -> None:
    sources = snapshot(
        *(answer(n) for n in range(4)),
        correction(0, "It eats grass."),
        thumb(1, True),
        thumb(2, False),
        thumb(3, True, "a"),
        thumb(3, False, "b"),
    )
    found = rows("demonstrations", sources)
    assert [row.content["completion"] for row in found] == ["It eats grass.", f"[1] {fact(1)}"]
    assert found[0].author == "backend/rater-0"
    assert set(found[0].sources) == {
        ("answer", "answer-0000"),
        ("chunk", "chunk-0"),
        ("document", "document-0"),
        ("judgement", "backend:fix-0-"),
        ("user", "user-0"),
    }


def test_a_review_counts_like_a_judgement_and_its_text_like_a_correction() -> None:
    reviews = [
        Review("i0", "answer-0000", "rita", labels={"correct": '"right"'}, time=1.0),
        Review(
            "i1", "answer-0001", "rita", labels={"correct": "wrong"}, correction="No.", time=2.0
        ),
        Review("i2", "answer-0002", "rita", declined=True, correction="Secret.", time=3.0),
    ]
    found = rows("demonstrations", snapshot(*(answer(n) for n in range(3)), *reviews))
    assert [row.content["completion"] for row in found] == [f"[1] {fact(0)}", "No."]
    assert ("review", "i1:rita") in found[1].sources


def test_a_correction_is_preferred_to_what_it_corrects() -> None:
    (row,) = rows("preferences", snapshot(answer(0), correction(0, "It eats grass.")))
    assert (row.content["chosen"], row.content["rejected"]) == ("It eats grass.", f"[1] {fact(0)}")


def test_the_better_answer_of_one_question_is_preferred_to_the_worse() -> None:
    worse = answer(1, question=question(0), completion="Nobody knows.")
    (row,) = rows("preferences", snapshot(answer(0), worse, thumb(0, True), thumb(1, False)))
    assert (row.content["chosen"], row.content["rejected"]) == (f"[1] {fact(0)}", "Nobody knows.")
    assert {"answer-0000", "answer-0001"} <= {name for _, name in row.sources}
    alike = answer(1, question=question(0), completion=f"[1] {fact(0)}")
    assert not rows("preferences", snapshot(answer(0), alike, thumb(0, True), thumb(1, False)))
    assert not rows("preferences", snapshot(answer(0), worse, thumb(0, True), thumb(1, True)))


def test_thumbs_are_what_most_accounts_think_and_a_tie_is_none() -> None:
    several = [thumb(0, True, f"up-{n}") for n in range(4)] + [thumb(0, False, "down")]
    tie = [thumb(1, True, "a"), thumb(1, False, "b")]
    many_of_one = [thumb(2, True, "a", feedback_id=f"again-{n}") for n in range(9)]
    many_of_one += [thumb(2, False, "b"), thumb(2, False, "c"), thumb(2, False, "d")]
    found = rows("thumbs", snapshot(*(answer(n) for n in range(3)), *several, *tie, *many_of_one))
    by_question = {row.question: row.content["label"] for row in found}
    assert by_question == {question(0): True, question(2): False}


def test_pairs_hold_what_was_judged_bad_before_what_only_looks_right() -> None:
    sources = snapshot(
        answer(0),
        *(chunk(n) for n in range(6)),
        passage_thumb(0, "chunk-0", True),
        passage_thumb(0, "chunk-5", False),
    )
    (row,) = rows("pairs", sources, negatives=3)
    assert (row.content["query"], row.content["positive"]) == (question(0), fact(0))
    first, *others = row.content["negatives"]
    assert first == fact(5)
    assert len(others) == 2
    assert not {fact(0), fact(5)} & set(others)
    assert {("chunk", "chunk-0"), ("chunk", "chunk-5"), ("document", "document-5")} <= set(
        row.sources
    )
    (bare,) = rows("pairs", sources, negatives=0)
    assert bare.content["negatives"] == []


def test_a_passage_without_known_text_makes_no_pair() -> None:
    assert not rows("pairs", snapshot(answer(0), passage_thumb(0, "chunk-0", True)))


def test_judgements_of_one_question_are_put_together_over_its_answers() -> None:
    again = answer(1, question=question(0).upper())
    sources = snapshot(
        answer(0),
        again,
        chunk(0),
        passage_thumb(0, "chunk-0", True, "a"),
        passage_thumb(1, "chunk-0", False, "b"),
    )
    assert not rows("pairs", sources)  # one for, one against


def test_texts_are_passages_of_the_newest_revision() -> None:
    old = chunk(0)
    new = replace(old, chunk_id="chunk-new", revision=2, text="Now it is this.")
    found = rows("texts", snapshot(old, new, chunk(1)))
    assert {row.content["text"] for row in found} == {"Now it is this.", fact(1)}
    assert all(not row.accounts for row in found)


def test_what_does_not_count_makes_no_row_and_is_counted() -> None:
    sources = snapshot(
        answer(0),
        answer(1, metadata={"consent": "no"}),
        answer(2, erased=True, completion="", messages=()),
        thumb(0, True, "a", state=State.WITHDRAWN),
        thumb(0, True, "b", state=State.QUARANTINED),
        thumb(0, True, "c", state=State.DROPPED),
        thumb(1, True),
        thumb(2, True),
        thumb(9, True),
    )
    assert not rows("thumbs", sources, consent_key="consent")
    assert left_out(sources, consent_key="consent") == {
        "withdrawn": 1,
        "quarantined": 2,
        "erased": 1,
        "no_consent": 1,
        "without_answer": 2,
    }


def test_an_answer_that_was_cut_off_teaches_nothing() -> None:
    cut = answer(0, finished=False)
    for form in ("demonstrations", "preferences", "thumbs"):
        assert not rows(form, snapshot(cut, thumb(0, True), correction(0, "Better.")))


def test_only_named_metrics_count() -> None:
    sources = snapshot(answer(0), thumb(0, True), thumb(0, False, "b", metric="funny"))
    (row,) = rows("thumbs", sources, metrics=("helpful",))
    assert row.content["label"] is True
    assert not rows("thumbs", sources)


@pytest.mark.parametrize(
    ("kind", "value", "scale", "expected"),
    [
        (NUMBER, 4.0, Scale(minimum=1, maximum=5), 0.75),
        (NUMBER, 4.0, Scale(more_is_better=False, minimum=1, maximum=5), 0.25),
        (NUMBER, 9.0, Scale(), None),
        (NUMBER, float("nan"), Scale(), None),
        (CATEGORY, "fair", Scale(categories=("bad", "fair", "good")), 0.5),
        (CATEGORY, "odd", Scale(categories=("bad", "fair", "good")), None),
        (NUMBER, 1.0, Scale(moves=False), None),
    ],
)
def test_a_value_is_read_by_its_metrics_scale(
    kind: str, value: float | str, scale: Scale, expected: float | None
) -> None:
    one = thumb(0, True, value_kind=kind, value=value)
    assert goodness(one, {"helpful": scale}) == expected


def test_labels_that_nobody_knows_say_nothing() -> None:
    assert review_goodness(Review("i", "a", "r", labels={"tone": "warm"})) is None
    assert review_goodness(Review("i", "a", "r", labels={"a": "right", "b": "partly"})) == 0.75


def test_the_lexical_index_finds_what_shares_rare_words() -> None:
    index = LexicalIndex({f"c{n}": fact(n) for n in range(20)})
    assert index.nearest("What of k35 in year 1907?", 1) == ["c7"]
    assert index.nearest("zzz", 3) == []


def test_every_form_has_rows_of_the_busy_world() -> None:
    for form in ("demonstrations", "preferences", "thumbs", "texts", "pairs"):
        made = assemble(busy(), settings(form, account_cap=100), {})
        assert sum(made.rows.values()) >= 15, form
