"""Which function trains by which method; imported when it is called, for each needs torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gyre_retraining.recipes.job import Job
from gyre_retraining.recipes.schema import Method
from gyre_retraining.recipes.sitting import Outcome, Sitting

LANGUAGE = "gyre_retraining.recipes.language.train"
METHODS: Mapping[Method, str] = {
    "sft": LANGUAGE,
    "kto": LANGUAGE,
    "dpo": LANGUAGE,
    "reward": LANGUAGE,
    "domain": LANGUAGE,
    "distill": LANGUAGE,
    "contrastive": "gyre_retraining.recipes.embedding.train",
}


class Train(Protocol):
    """Trains from the sitting's checkpoint or from the start; writes the model into `output`."""

    def __call__(self, job: Job, sitting: Sitting, output: Path) -> Outcome:
        """Raises `Stopped` once it was asked to stop and has kept a checkpoint, or `JobError`."""


def trainer_of(method: Method) -> Train:
    """The function `train` of the method's module."""
    train: Train = importlib.import_module(METHODS[method]).train
    return train
