"""Metrics equal the reference implementations: trec_eval, ROUGE-1.5.5, SQuAD, sacreBLEU's own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from gyre_evaluation.adapters.metrics.ranking import MEASURES
from gyre_evaluation.adapters.metrics.rouge_scores import rouge
from gyre_evaluation.adapters.metrics.sacrebleu_scores import corpus_bleu, sentence_bleu
from gyre_evaluation.domain.metrics.overlap import accuracy, exact_match, token_f1
from rouge_score.rouge_scorer import RougeScorer

ORACLES = Path(__file__).parents[4] / "shared" / "data" / "dev" / "eval_metric_oracles"
TREC_NAMES = {
    "ndcg_at_10": "ndcg_cut_10",
    "average_precision": "map",
    "recall_at_10": "recall_10",
    "precision_at_5": "P_5",
}
needs_oracles = pytest.mark.skipif(not ORACLES.exists(), reason="../shared/data is not there")


@needs_oracles
@pytest.mark.parametrize("name", TREC_NAMES)
def test_a_ranking_measure_is_the_one_of_trec_eval(name: str) -> None:
    folder = ORACLES / "trec_eval"
    expected = _trec_values(folder / "out.test.aq", TREC_NAMES[name])
    judged = list(ir_measures.read_trec_qrels(str(folder / "qrels.test")))
    run = list(ir_measures.read_trec_run(str(folder / "results.test")))
    found = {
        one.query_id: one.value for one in ir_measures.iter_calc([MEASURES[name]], judged, run)
    }
    assert expected
    for query, value in expected.items():
        assert found[query] == pytest.approx(value, abs=5e-5)


@needs_oracles
def test_the_reciprocal_rank_is_the_one_of_trec_eval_where_it_is_within_ten() -> None:
    folder = ORACLES / "trec_eval"
    expected = _trec_values(folder / "out.test.aq", "recip_rank")
    judged = list(ir_measures.read_trec_qrels(str(folder / "qrels.test")))
    run = list(ir_measures.read_trec_run(str(folder / "results.test")))
    measured = ir_measures.iter_calc([MEASURES["mrr_at_10"]], judged, run)
    for one in measured:
        within = expected[one.query_id] if expected[one.query_id] >= 0.1 else 0.0
        assert one.value == pytest.approx(within, abs=5e-5)


@needs_oracles
def test_rouge_is_the_one_of_the_reference() -> None:
    expected = json.loads((ORACLES / "rouge" / "expected.json").read_text())
    targets = (ORACLES / "rouge" / "target_large.txt").read_text().splitlines()
    predictions = (ORACLES / "rouge" / "prediction_large.txt").read_text().splitlines()
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    for place in (0, 1):
        scores = scorer.score(targets[place], predictions[place])
        for kind, values in expected[f"pair{place}"].items():
            assert list(scores[kind]) == pytest.approx(values, abs=5e-6)
    mean = sum(
        scorer.score(target, said)["rouge1"].fmeasure
        for target, said in zip(targets, predictions, strict=True)
    ) / len(targets)
    assert mean == pytest.approx(expected["corpus_mean_rouge1"][2], abs=2e-3)


@needs_oracles
def test_our_rouge_is_that_of_the_library_with_its_stemmer() -> None:
    pairs = (ORACLES / "rouge_pyrouge_pairs.jsonl").read_text().splitlines()[:40]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    for line in pairs:
        one = json.loads(line)
        for kind, scores in scorer.score(one["target"], one["prediction"]).items():
            assert rouge(kind, one["prediction"], [one["target"]]) == scores.fmeasure


def test_the_best_reference_counts() -> None:
    assert rouge("rouge1", "turn it off", ["something else", "turn it off"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        # The official SQuAD script's normalisation: case, punctuation, articles, blanks.
        ("The Eiffel Tower!", ["eiffel tower"], 1.0, 1.0),
        ("in 1889", ["1889"], 0.0, 2 / 3),
        ("a cat sat", ["the cat sat on the mat"], 0.0, 2 * 2 / (2 + 4)),
        ("", [""], 1.0, 1.0),
        ("", ["something"], 0.0, 0.0),
        ("Paris", ["London", "Paris"], 1.0, 1.0),
    ],
)
def test_exact_match_and_f1_are_squads(
    answer: str, references: list[str], exact: float, f1: float
) -> None:
    assert exact_match(answer, references) == exact
    assert token_f1(answer, references) == pytest.approx(f1)


def test_accuracy_compares_labels() -> None:
    assert accuracy(" Billing ", ["billing"]) == 1.0
    assert accuracy("the billing", ["billing"]) == 0.0


def test_bleu_is_sacrebleus() -> None:
    """The example and the value of sacreBLEU's own page."""
    answers = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    references = [
        ["The dog bit the man.", "The dog had bit the man."],
        ["It was not unexpected.", "No one was surprised."],
        ["The man bit him first.", "The man had bitten the dog."],
    ]
    assert corpus_bleu(answers, references) == pytest.approx(48.530827009929865)
    assert sentence_bleu(answers[0], references[0]) == pytest.approx(100.0)


def test_answers_may_have_different_numbers_of_references() -> None:
    assert corpus_bleu(["a b c d e", "f g h i j"], [["a b c d e", "x"], ["f g h i j"]]) > 99.9


def _trec_values(path: Path, measure: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for name, query, value in _lines(path):
        if name == measure and query != "all":
            found[query] = float(value)
    return dict(found)


def _lines(path: Path) -> Iterator[Any]:
    for line in path.read_text().splitlines():
        yield tuple(part.strip() for part in line.split("\t"))
