"""Embedding models: from the rows of a job to the folder that is exported and served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datasets
from transformers.utils import logging

from gyre_retraining.recipes import trainer as shared
from gyre_retraining.recipes.embedding import encoder
from gyre_retraining.recipes.embedding.contrastive import prepared
from gyre_retraining.recipes.embedding.pairs import pairs_of
from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.rows import load
from gyre_retraining.recipes.sitting import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from gyre_retraining.recipes.job import Job
    from gyre_retraining.recipes.schema import Recipe
    from gyre_retraining.recipes.sitting import Sitting


def train(job: Job, sitting: Sitting, output: Path) -> Outcome:
    """Raises `Stopped` or `JobError`; the folder `output` is there and empty."""
    check(job.recipe)
    datasets.disable_progress_bars()
    logging.set_verbosity_error()
    rows, asked = pairs_of(load(job, "train")), pairs_of(load(job, "validation"))
    training = job.recipe.training
    model = encoder.load(job.base_model, training.max_length, training.weights)
    trainer = prepared(job.recipe, model, rows, asked, job.checkpoints)
    steps, metrics = shared.run(trainer, sitting, evaluate=bool(asked))
    if sitting.leads:
        encoder.write(model, job.base_model, output)
    return Outcome(steps, metrics)


def check(recipe: Recipe) -> None:
    """Raises `JobError` (`unsupported`) for what the schema allows and this method does not do."""
    if recipe.adapter.kind != "none":
        raise JobError("unsupported", "an embedding model is trained whole, without an adapter")
    if recipe.accelerate.fsdp:
        raise JobError("unsupported", "an embedding model is small: it is not sharded")
