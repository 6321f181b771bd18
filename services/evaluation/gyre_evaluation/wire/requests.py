"""Requests as nouns of the stories. Who asks comes from the credential, never from a field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import uuid_utils
from gyre.evaluation.v1 import service_pb2 as wire

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.runs import Kind, Run
from gyre_evaluation.use_cases.datasets import Opening, ReviewFilter
from gyre_evaluation.wire.datasets import filter_from, moment
from gyre_evaluation.wire.scores import target_from


class Caller(Protocol):
    """Whoever was authenticated."""

    @property
    def tenant(self) -> str: ...

    @property
    def name(self) -> str: ...


def opening_from(request: wire.CreateDatasetRequest, caller: Caller) -> Opening:
    source = request.WhichOneof("source")
    reviews = None
    if source == "reviews":
        given = request.reviews
        since = moment(given.start_time) if given.HasField("start_time") else None
        reviews = ReviewFilter(since, given.limit or ReviewFilter().limit)
    return Opening(
        name=request.name,
        author=caller.name,
        description=request.description,
        creation_key=request.creation_key,
        answers=filter_from(request.recorded_answers) if source == "recorded_answers" else None,
        reviews=reviews,
        base_version=request.base_version,
    )


def run_from(request: wire.StartRunRequest, caller: Caller) -> Run:
    """Raises `RequestInvalid`."""
    kinds = [kind.value for kind in Kind if not kind.replays]
    if request.target.kind and request.target.kind not in kinds:
        raise RequestInvalid({"target.kind": f"give one of {', '.join(kinds)}"})
    if request.limit < 0 or request.concurrency < 0:
        raise RequestInvalid({"limit": "give a number of at least 0"})
    return Run(
        run_id=str(uuid_utils.uuid7()),
        tenant=caller.tenant,
        author=caller.name,
        target=target_from(request.target),
        dataset=request.dataset,
        dataset_version=request.dataset_version,
        metrics=tuple(dict.fromkeys(request.metrics)),
        create_time=datetime.now(UTC),
        split=request.split,
        label=request.label,
        limit=request.limit,
        ignore_cache=request.ignore_cache,
        concurrency=request.concurrency,
        baseline_run_id=request.baseline_run_id,
    )
