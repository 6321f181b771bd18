"""Method `contrastive`: a question near to its passage, far from others of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.training_args import BatchSamplers

from gyre_retraining.recipes.embedding.pairs import Pair, grouped
from gyre_retraining.recipes.embedding.search import finder
from gyre_retraining.recipes.schema import Contrastive, Recipe
from gyre_retraining.recipes.trainer import arguments

# Passages of the training rows that a validation question has to be told from.
DISTRACTORS = 500


def prepared(
    recipe: Recipe,
    model: SentenceTransformer,
    rows: Sequence[Pair],
    asked: Sequence[Pair],
    folder: Path,
) -> SentenceTransformerTrainer:
    """The trainer, ready to start or to go on; folder: of checkpoints.

    asked: the rows that it is measured on, by the loss and by how well questions find passages.
    """
    own = recipe.contrastive or Contrastive()
    batch = recipe.training.batch_size
    measured: dict[str, Any] = {}
    if asked:
        measured["eval_dataset"] = _without_negatives(asked)
        measured["evaluator"] = finder(asked, rows[:DISTRACTORS], own, batch)
    return SentenceTransformerTrainer(
        model=model,
        args=_arguments(own, arguments(recipe, folder, evaluate=bool(asked))),
        train_dataset=_groups(rows, own, batch),
        loss=_loss(model, own, recipe),
        **measured,
    )


def _arguments(own: Contrastive, shared: dict[str, Any]) -> SentenceTransformerTrainingArguments:
    """No text stands twice in a batch: it would be good and bad for the same question."""
    prompts = {"query": own.query_prompt, "positive": own.passage_prompt}
    prompts |= {f"negative_{n + 1}": own.passage_prompt for n in range(own.hard_negatives)}
    return SentenceTransformerTrainingArguments(
        **shared,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        prompts={column: prompt for column, prompt in prompts.items() if prompt},
    )


def _groups(pairs: Sequence[Pair], own: Contrastive, batch_size: int) -> DatasetDict:
    groups = grouped(pairs, own.hard_negatives, batch_size)
    return DatasetDict({name: Dataset.from_dict(dict(some)) for name, some in groups.items()})


def _without_negatives(pairs: Sequence[Pair]) -> Dataset:
    (columns,) = grouped(pairs, 0, 0).values()
    return Dataset.from_dict(dict(columns))


def _loss(model: SentenceTransformer, own: Contrastive, recipe: Recipe) -> Any:
    everybody = recipe.accelerate.processes > 1
    if own.mini_batch_size:
        return CachedMultipleNegativesRankingLoss(
            model,
            scale=own.scale,
            mini_batch_size=own.mini_batch_size,
            gather_across_devices=everybody,
        )
    return MultipleNegativesRankingLoss(model, scale=own.scale, gather_across_devices=everybody)
