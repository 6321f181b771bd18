"""Real ratings of passages become pairs, and no question that is held back is among them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from gyre_retraining.adapters.datasets import FolderDatasetStore
from gyre_retraining.domain.assemble import assemble
from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.scales import Scale
from gyre_retraining.domain.similarity import bag, key, overlap
from gyre_retraining.domain.sources import (
    CATEGORY,
    ChunkText,
    Judgement,
    Level,
    Passage,
    RecordedAnswer,
    Snapshot,
)

DATA = Path(__file__).parents[4] / "shared" / "data" / "dev" / "fb_feedbackqa"
RATINGS = ("Bad", "Could be Improved", "Acceptable", "Excellent")
REGIONS = ("UK", "CDC")
SCALES = {"rating": Scale(categories=RATINGS)}
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there")


def rows(name: str) -> Iterator[dict[str, Any]]:
    path = DATA / name
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in content.decode().splitlines():
        row = json.loads(line)
        if row["region"] in REGIONS:
            yield row


@pytest.fixture(scope="module")
def ratings() -> list[dict[str, Any]]:
    return list(rows("feedback.jsonl"))


@pytest.fixture(scope="module")
def sources(ratings: list[dict[str, Any]]) -> Snapshot:
    """As if each question had been asked, the rated passages shown, and both ratings given."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for row in ratings:
        asked.setdefault(row["question"], []).append(row)
    judgements = [
        Judgement(
            principal="survey",
            feedback_id=f"{row['id']}-{rater}",
            revision=1,
            answer_id=f"answer-{number:04}",
            metric="rating",
            level=Level.CHUNK,
            value_kind=CATEGORY,
            value=rating,
            chunk_id=row["passage"],
            rater=f"rater-{number % 40}-{rater}",
            time=100.0 * number,
        )
        for number, shown in enumerate(asked.values())
        for row in shown
        for rater, rating in enumerate(row["ratings"])
    ]
    answers = [
        RecordedAnswer(
            answer_id=f"answer-{number:04}",
            question=question,
            completion="",
            passages=tuple(Passage(row["passage"], row["passage"]) for row in shown),
            language="en",
            metadata={"region": shown[0]["region"]},
            time=float(number),
        )
        for number, (question, shown) in enumerate(asked.items())
    ]
    chunks = [ChunkText(row["_id"], row["_id"], 1, row["text"]) for row in rows("corpus.jsonl.gz")]
    return Snapshot("acme", 1e9, tuple(answers), tuple(judgements), (), tuple(chunks))


@pytest.fixture(scope="module")
def held_back(sources: Snapshot) -> tuple[str, ...]:
    """Every fifth question that was rated."""
    questions = sorted({answer.question for answer in sources.answers}, key=key)
    return tuple(questions[::5])


SETTINGS = AssemblySettings("pairs", account_cap=1000, slices=("region",), negatives=4)


async def test_ratings_become_pairs_and_no_question_that_is_held_back_is_among_them(
    sources: Snapshot, held_back: tuple[str, ...], tmp_path: Path
) -> None:
    sets = [EvaluationSet("feedbackqa", 1, "h", held_back)]
    made = assemble(sources, SETTINGS, SCALES, sets)
    kept = await FolderDatasetStore(tmp_path).keep(made)
    train, validation = (
        pq.read_table(kept.folder / f"{name}.parquet").to_pylist()
        for name in ("train", "validation")
    )
    secret = {key(question) for question in held_back}
    assert len(train) > 100
    assert len(validation) > 10
    for row in (*train, *validation):
        assert key(row["query"]) not in secret
        assert row["positive"]
        assert row["positive"] not in row["negatives"]
        assert 1 <= len(row["negatives"]) <= 4
    for one in train:
        assert all(
            overlap(bag(one["query"]), bag(other)) < SETTINGS.near
            for other in (*held_back, *(row["query"] for row in validation))
        )
    left_out = {one.filter: one.rows for one in made.filters}
    assert left_out["contaminated"] > 10
    assert set(kept.manifest["slices"]) == {"region=UK", "region=CDC"}


def test_what_is_judged_good_is_the_positive_and_what_is_judged_bad_the_first_negative(
    sources: Snapshot, ratings: list[dict[str, Any]]
) -> None:
    made = assemble(sources, SETTINGS, SCALES)
    texts = {one.chunk_id: one.text for one in sources.chunks}
    good, bad = set(), set()
    for row in ratings:
        worth = sum(RATINGS.index(one) for one in row["ratings"]) / len(row["ratings"]) / 3
        pair = (key(row["question"]), texts[row["passage"]])
        if worth >= SETTINGS.good:
            good.add(pair)
        elif worth <= SETTINGS.bad:
            bad.add(pair)
    pairs = [row for split in made.splits.values() for row in split]
    with_bad = 0
    for row in pairs:
        question = key(row.question)
        assert (question, row.content["positive"]) in good
        judged_bad = {text for asked, text in bad if asked == question}
        first = row.content["negatives"][: len(judged_bad)]
        with_bad += bool(judged_bad & set(first))
        assert not any((question, text) in good for text in row.content["negatives"])
    assert with_bad > 10


def test_the_same_ratings_are_the_same_dataset_in_any_order(sources: Snapshot) -> None:
    turned = Snapshot(
        sources.tenant,
        sources.as_of,
        sources.answers[::-1],
        sources.judgements[::-1],
        (),
        sources.chunks[::-1],
    )
    one, other = (assemble(given, SETTINGS, SCALES).splits for given in (sources, turned))
    assert {name: [row.row_id for row in split] for name, split in one.items()} == {
        name: [row.row_id for row in split] for name, split in other.items()
    }
