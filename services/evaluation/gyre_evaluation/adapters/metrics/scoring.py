"""Asks every metric; a metric that fails does not take the others with it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from gyre_evaluation.domain.metrics import grounding, overlap, refusals, toxicity
from gyre_evaluation.domain.metrics.case import Case, Cited, Evidence
from gyre_evaluation.domain.metrics.catalogue import RULES
from gyre_evaluation.domain.metrics.grounding import Similarity
from gyre_evaluation.domain.metrics.metric import Level, Metric, Need
from gyre_evaluation.domain.metrics.sentences import words

Computed = float | None
Rule = Callable[[Case, Similarity], Computed]

PURE: Mapping[str, Rule] = {
    "exact_match": lambda case, _: overlap.exact_match(case.answer, case.references),
    "token_f1": lambda case, _: overlap.token_f1(case.answer, case.references),
    "accuracy": lambda case, _: overlap.accuracy(case.answer, case.references),
    "answer_similarity": grounding.answer_similarity,
    "answer_relevance": grounding.answer_relevance,
    "groundedness": grounding.groundedness,
    "citation_precision": grounding.citation_precision,
    "citation_recall": grounding.citation_recall,
    "context_recall": grounding.context_recall,
    "refusal_correctness": lambda case, _: refusals.refusal_correctness(case),
    "refusal": lambda case, _: float(refusals.refused(case)),
    "answer_words": lambda case, _: float(len(words(case.answer))),
    "length_ratio": lambda case, _: (
        len(words(case.answer)) / max(len(words(case.references[0])), 1)
    ),
    "toxicity": lambda case, _: toxicity.toxicity(case.answer),
}
# Imported when they are first asked for: some take seconds.
_HERE = "gyre_evaluation.adapters.metrics"
LIBRARIES: Mapping[str, str] = {
    "sentence_bleu": "sacrebleu_scores",
    "chrf": "sacrebleu_scores",
    "rouge1": "rouge_scores",
    "rouge2": "rouge_scores",
    "rougeL": "rouge_scores",
    "rougeLsum": "rouge_scores",
    "language_match": "languages",
    "pii_leakage": "personal_data",
    "context_precision": "ranking",
    "ndcg_at_10": "ranking",
    "mrr_at_10": "ranking",
    "average_precision": "ranking",
    "recall_at_10": "ranking",
    "precision_at_5": "ranking",
}


def score(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """given: cases, metrics, vectors (text -> base64 of float32). For each case a score or an error
    by metric; a metric that does not apply is absent."""
    vectors = {text: _vector(data) for text, data in given.get("vectors", {}).items()}
    metrics = [RULES[name] for name in given["metrics"] if RULES[name].level is not Level.RUN]
    return [_scored(case_from(one), metrics, vectors) for one in given["cases"]]


def score_run(given: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of all answers together; those that none of them meets are absent."""
    cases = [case for case in map(case_from, given["cases"]) if case.references]
    if "bleu" not in given["metrics"] or not cases:
        return {}
    bleu = import_module(f"{_HERE}.sacrebleu_scores")
    answers, references = [one.answer for one in cases], [one.references for one in cases]
    return {"bleu": bleu.corpus_bleu(answers, references)}


def case_from(given: Mapping[str, Any]) -> Case:
    """From its JSON form."""
    fields = dict(given)
    fields["passages"] = tuple(Evidence(**one) for one in given.get("passages", ()))
    fields["citations"] = tuple(Cited(**one) for one in given.get("citations", ()))
    fields["references"] = tuple(given.get("references", ()))
    fields["relevant_ids"] = frozenset(given.get("relevant_ids", ()))
    return Case(**fields)


def applies(metric: Metric, case: Case) -> bool:
    """Whether the case has what the metric needs."""
    has = {
        Need.REFERENCES: bool(case.references),
        Need.PASSAGES: bool(case.passages or case.citations) or case.searched,
        Need.RELEVANT: bool(case.relevant_ids),
        Need.CITATIONS: "[" in case.answer,
        Need.BASELINE: False,
    }
    return all(has[need] for need in metric.needs)


def _scored(
    case: Case, metrics: Sequence[Metric], vectors: Mapping[str, np.ndarray[Any, Any]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in metrics:
        if not applies(metric, case):
            continue
        try:
            value = _computed(metric.name, case, lambda a, b: float(vectors[a] @ vectors[b]))
        except KeyError as missing:
            found[metric.name] = {"error": f"no embedding of {str(missing)[:40]}"}
        except Exception as error:
            found[metric.name] = {"error": f"{type(error).__name__}: {error}"}
        else:
            if value is not None:
                found[metric.name] = {"value": value}
    return found


def _computed(name: str, case: Case, similar: Similarity) -> Computed:
    if name in PURE:
        return PURE[name](case, similar)
    library = import_module(f"{_HERE}.{LIBRARIES[name]}")
    if LIBRARIES[name] == "rouge_scores":
        return float(library.rouge(name, case.answer, case.references))
    if LIBRARIES[name] == "sacrebleu_scores":
        return float(getattr(library, name)(case.answer, case.references))
    if name in getattr(library, "MEASURES", ()):
        return float(library.ranking_scores(case)[name])
    value: Computed = getattr(library, name)(case)
    return value


def _vector(data: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(data), dtype="<f4")
