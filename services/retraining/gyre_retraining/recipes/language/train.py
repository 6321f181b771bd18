"""Language models: from the rows of a job to the folder that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datasets
from transformers import set_seed
from transformers.utils import logging

from gyre_retraining.recipes import trainer as shared
from gyre_retraining.recipes.ending import JobError
from gyre_retraining.recipes.language import models
from gyre_retraining.recipes.language.parts import Parts
from gyre_retraining.recipes.language.render import rendered
from gyre_retraining.recipes.rows import load

if TYPE_CHECKING:
    from pathlib import Path

    from gyre_retraining.recipes.job import Job
    from gyre_retraining.recipes.schema import Recipe
    from gyre_retraining.recipes.sitting import Outcome, Sitting


def train(job: Job, sitting: Sitting, output: Path) -> Outcome:
    """Raises `Stopped` or `JobError`; the folder `output` is there and empty."""
    from gyre_retraining.recipes.sitting import Outcome

    datasets.disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(job.recipe.training.seed)  # a reward model's head begins at random
    rows, held_back = load(job, "train"), load(job, "validation")
    evaluate = len(held_back) > 0
    model, tokenizer = models.load(job.base_model, job.recipe)
    trainer = prepared(
        job.recipe, model, tokenizer, rows, held_back if evaluate else None, job.checkpoints
    )
    steps, metrics = shared.run(trainer, sitting, evaluate=evaluate)
    models.save(trainer, tokenizer, job.recipe, output)
    return Outcome(steps, metrics)


def prepared(
    recipe: Recipe, model: Any, tokenizer: Any, rows: Any, held_back: Any, folder: Path
) -> Any:
    """The trainer of the recipe's method over rows of its form; folder: of checkpoints.

    held_back: None leaves evaluation out. Raises `JobError` where no row fits `max_length`.
    """
    evaluate = held_back is not None
    plain, cut = recipe.method == "domain", recipe.training.answer_tokens
    parts = Parts(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        train=rows if plain else rendered(tokenizer, rows, cut),
        validation=held_back if plain or not evaluate else rendered(tokenizer, held_back, cut),
        arguments=shared.arguments(recipe, folder, evaluate=evaluate),
    )
    made = _builder(recipe.method)(parts)
    if len(made.train_dataset) == 0:
        raise JobError("too_few_rows", f"none fits {recipe.training.max_length} tokens")
    return made


def _builder(method: str) -> Any:
    from gyre_retraining.recipes.language import distillation, preference, supervised

    return {
        "sft": supervised.demonstrations,
        "domain": supervised.texts,
        "kto": preference.thumbs,
        "dpo": preference.pairs,
        "reward": preference.judge,
        "distill": distillation.teacher,
    }[method]
