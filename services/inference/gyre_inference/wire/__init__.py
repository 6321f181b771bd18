"""Nouns of the domain as the contract's messages and back; the doors and the outbox share it."""

from gyre_inference.wire.answers import (
    citation,
    finish_reason,
    parameters,
    parameters_of,
    record,
    timings,
    usage,
)
from gyre_inference.wire.chains import chain_run, data_of, step_record, value
from gyre_inference.wire.experiments import experiment, experiment_of, weighing
from gyre_inference.wire.prompts import chain_version, label_move, prompt_content, prompt_version
from gyre_inference.wire.prompts import content_of as prompt_content_of
from gyre_inference.wire.rollouts import rollout, wanted_of

__all__ = [
    "chain_run",
    "chain_version",
    "citation",
    "data_of",
    "experiment",
    "experiment_of",
    "finish_reason",
    "label_move",
    "parameters",
    "parameters_of",
    "prompt_content",
    "prompt_content_of",
    "prompt_version",
    "record",
    "rollout",
    "step_record",
    "timings",
    "usage",
    "value",
    "wanted_of",
    "weighing",
]
