"""Replays as messages and back. Who asks comes from the credential, never from a field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import uuid_utils
from gyre.evaluation.v1 import replay_pb2 as wire
from gyre.evaluation.v1 import service_pb2

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.recorded import AnswerFilter
from gyre_evaluation.domain.replays import DATASET, Replay
from gyre_evaluation.domain.runs import Kind, Target
from gyre_evaluation.wire.datasets import filter_from
from gyre_evaluation.wire.requests import Caller
from gyre_evaluation.wire.runs import time_to
from gyre_evaluation.wire.scores import difference_to, target_from, target_to


def replay_from(request: wire.StartReplayRequest, caller: Caller) -> Replay:
    """Raises `RequestInvalid`."""
    return Replay(
        replay_id=str(uuid_utils.uuid7()),
        tenant=caller.tenant,
        author=caller.name,
        target=_target(request),
        wanted=filter_from(request.recorded_answers),
        create_time=datetime.now(UTC),
        metrics=tuple(dict.fromkeys(request.metrics)),
        margin=request.margin,
        label=request.label,
        concurrency=request.concurrency,
        ignore_cache=request.ignore_cache,
    )


def _target(request: wire.StartReplayRequest) -> Target:
    given = request.target
    if given.chain:
        raise RequestInvalid({"target.chain": "answers are replayed through prompts and models"})
    if given.prompt_version and not given.prompt_name:
        raise RequestInvalid({"target.prompt_name": "name the prompt of the version"})
    plain = type(given)()
    plain.CopyFrom(given)
    plain.kind = ""
    kind = Kind.REPLAY_SEARCHED if request.search_again else Kind.REPLAY
    return replace(target_from(plain), kind=kind)


def replay_to(replay: Replay) -> wire.Replay:
    outcome = replay.outcome
    return wire.Replay(
        replay_id=replay.replay_id,
        target=target_to(replay.target),
        recorded_answers=_filter_to(replay.wanted),
        state=wire.ReplayState.Value(f"REPLAY_STATE_{replay.state.upper()}"),
        detail=replay.detail,
        answers=replay.answers,
        done=replay.done,
        failures=replay.failures,
        left_out=replay.left_out,
        dataset=DATASET if replay.dataset_version else "",
        dataset_version=replay.dataset_version,
        recorded_run_id=replay.recorded_run_id,
        replayed_run_id=replay.replayed_run_id,
        differences=map(difference_to, outcome.differences),
        changed=outcome.changed,
        refusals_gained=outcome.gained,
        refusals_lost=outcome.lost,
        label=replay.label,
        author=replay.author,
        create_time=time_to(replay.create_time),
        end_time=time_to(replay.end_time) if replay.end_time else None,
    )


def _filter_to(wanted: AnswerFilter) -> service_pb2.AnswerFilter:
    return service_pb2.AnswerFilter(
        collection=wanted.collection,
        prompt_name=wanted.prompt_name,
        prompt_version=wanted.prompt_version,
        model=wanted.model,
        language=wanted.language,
        start_time=time_to(wanted.start) if wanted.start else None,
        end_time=time_to(wanted.end) if wanted.end else None,
        refused=wanted.refused,
        limit=wanted.limit,
    )
