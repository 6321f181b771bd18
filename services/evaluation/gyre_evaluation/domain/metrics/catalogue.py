"""Every metric that is computed by rule, with its level and direction."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_evaluation.domain.metrics.metric import Direction, Level, Metric, Need

ANSWER, RETRIEVAL, RUN = Level.ANSWER, Level.RETRIEVAL, Level.RUN
HIGHER, LOWER, NONE = Direction.HIGHER, Direction.LOWER, Direction.NONE
REFERENCES = frozenset({Need.REFERENCES})
PASSAGES = frozenset({Need.PASSAGES})
CITED = frozenset({Need.PASSAGES, Need.CITATIONS})
RELEVANT = frozenset({Need.RELEVANT, Need.PASSAGES})
SUPPORTED = frozenset({Need.REFERENCES, Need.PASSAGES})

_RULES = (
    Metric(
        "exact_match",
        ANSWER,
        HIGHER,
        "1 where the answer is a reference, articles, punctuation and case aside (SQuAD).",
        REFERENCES,
    ),
    Metric(
        "token_f1",
        ANSWER,
        HIGHER,
        "Overlap of the answer's words with the best reference's, as F1 (SQuAD).",
        REFERENCES,
    ),
    Metric(
        "accuracy",
        ANSWER,
        HIGHER,
        "1 where the answer is a reference, case and outer blanks aside: for labels.",
        REFERENCES,
    ),
    Metric(
        "bleu",
        RUN,
        HIGHER,
        "Corpus BLEU of all answers (sacreBLEU, tokenizer 13a), 0 to 100.",
        REFERENCES,
        maximum=100.0,
    ),
    Metric(
        "sentence_bleu",
        ANSWER,
        HIGHER,
        "BLEU of one answer with smoothing (sacreBLEU), 0 to 100.",
        REFERENCES,
        maximum=100.0,
    ),
    Metric(
        "chrf",
        ANSWER,
        HIGHER,
        "Overlap of character n-grams with the references (sacreBLEU, chrF2), 0 to 100.",
        REFERENCES,
        maximum=100.0,
    ),
    *(
        Metric(
            name,
            ANSWER,
            HIGHER,
            f"{what} in common with the best reference, as F1 (rouge-score, stemmed).",
            REFERENCES,
        )
        for name, what in {
            "rouge1": "Words",
            "rouge2": "Pairs of words",
            "rougeL": "Longest sequence of words",
            "rougeLsum": "Longest sequences of words, line by line,",
        }.items()
    ),
    Metric(
        "answer_similarity",
        ANSWER,
        HIGHER,
        "Cosine of the answer's and the nearest reference's embeddings.",
        REFERENCES,
        minimum=-1.0,
        embeds=True,
    ),
    Metric(
        "answer_relevance",
        ANSWER,
        HIGHER,
        "Cosine of the question and the answer's nearest sentence; 0 for a refusal.",
        minimum=-1.0,
        embeds=True,
    ),
    Metric(
        "groundedness",
        ANSWER,
        HIGHER,
        "Mean over the answer's sentences of how well the best passage sentence supports each.",
        PASSAGES,
        embeds=True,
    ),
    Metric(
        "citation_precision",
        ANSWER,
        HIGHER,
        "Mean over the citations of how well each supports the sentence it stands in.",
        CITED,
        embeds=True,
    ),
    Metric(
        "citation_recall",
        ANSWER,
        HIGHER,
        "Mean over the answer's sentences of how well their own citations support each; 0 without.",
        PASSAGES,
        embeds=True,
    ),
    Metric(
        "refusal_correctness",
        ANSWER,
        HIGHER,
        "1 where the answerable is answered and the unanswerable refused.",
    ),
    Metric("refusal", ANSWER, NONE, "1 where the answer says that it cannot answer."),
    Metric("answer_words", ANSWER, NONE, "Words of the answer.", maximum=None),
    Metric(
        "length_ratio",
        ANSWER,
        NONE,
        "Words of the answer per word of the first reference.",
        REFERENCES,
        maximum=None,
    ),
    Metric(
        "language_match",
        ANSWER,
        HIGHER,
        "1 where the answer is in the question's language; none where either is too short to tell.",
    ),
    Metric(
        "toxicity",
        ANSWER,
        LOWER,
        "Share of the answer's sentences that hold an insult, a slur or a threat, by word list.",
    ),
    Metric(
        "pii_leakage",
        ANSWER,
        LOWER,
        "1 where the answer holds personal data that neither question nor passages hold.",
    ),
    Metric(
        "context_precision",
        RETRIEVAL,
        HIGHER,
        "Mean precision at each relevant passage found: low where others stand above them.",
        RELEVANT,
    ),
    Metric(
        "context_recall",
        RETRIEVAL,
        HIGHER,
        "Mean over the reference's sentences of how well the passages support each.",
        SUPPORTED,
        embeds=True,
    ),
    *(
        Metric(name, RETRIEVAL, HIGHER, f"{what} of the passages (trec_eval).", RELEVANT)
        for name, what in {
            "ndcg_at_10": "Normalised discounted cumulative gain of the first 10",
            "mrr_at_10": "Reciprocal rank of the first relevant one within 10",
            "average_precision": "Average precision",
            "recall_at_10": "Share of the relevant ones among the first 10",
            "precision_at_5": "Share of relevant ones among the first 5",
        }.items()
    ),
)

RULES: Mapping[str, Metric] = {metric.name: metric for metric in _RULES}
