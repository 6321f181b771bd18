"""Datasets as messages."""

from __future__ import annotations

from gyre.retraining.v1 import training_pb2

from gyre_retraining.ports import Described
from gyre_retraining.wire.trainings import time_to


def dataset_to(dataset: Described) -> training_pb2.TrainingDataset:
    facts = dataset.facts
    return training_pb2.TrainingDataset(
        dataset_id=facts.dataset_id,
        form=facts.form,
        rows=dict(facts.rows),
        filters=[training_pb2.FilterCount(filter=name, rows=rows) for name, rows in facts.filters],
        slices=dict(facts.slices),
        as_of=time_to(facts.as_of) if facts.as_of else None,
        uri=str(dataset.folder),
        create_time=time_to(dataset.create_time),
    )
