"""How well a model finds: judged questions over all passages that the dataset knows."""

from __future__ import annotations

from collections.abc import Sequence

from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from gyre_retraining.recipes.embedding.pairs import Pair
from gyre_retraining.recipes.schema import Contrastive

DEEP = 10


def finder(
    asked: Sequence[Pair], known: Sequence[Pair], prompts: Contrastive, batch_size: int
) -> InformationRetrievalEvaluator:
    """MRR and nDCG at 10 of the questions of `asked` over the passages of both lists."""
    passages = {
        text: f"p{place}"
        for place, text in enumerate(
            dict.fromkeys(
                text for pair in (*asked, *known) for text in (pair.positive, *pair.negatives)
            )
        )
    }
    good: dict[str, set[str]] = {}
    for pair in asked:
        good.setdefault(pair.query, set()).add(passages[pair.positive])
    questions = {query: f"q{place}" for place, query in enumerate(good)}
    return InformationRetrievalEvaluator(
        queries={name: query for query, name in questions.items()},
        corpus={name: text for text, name in passages.items()},
        relevant_docs={questions[query]: names for query, names in good.items()},
        mrr_at_k=[DEEP],
        ndcg_at_k=[DEEP],
        accuracy_at_k=[1, DEEP],
        precision_recall_at_k=[DEEP],
        map_at_k=[DEEP],
        batch_size=batch_size,
        write_csv=False,
        query_prompt=prompts.query_prompt or None,
        corpus_prompt=prompts.passage_prompt or None,
    )
