"""Runs as messages, and what is said at their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.evaluation.v1 import events_pb2, service_pb2

from gyre_evaluation.domain.comparison import Difference
from gyre_evaluation.domain.runs import Costs, Kind, Run
from gyre_evaluation.wire.scores import difference_to, summary_to, target_to


def run_to(run: Run) -> service_pb2.Run:
    return service_pb2.Run(
        run_id=run.run_id,
        target=target_to(run.target),
        dataset=run.dataset,
        dataset_version=run.dataset_version,
        split=run.split,
        metrics=run.metrics,
        state=service_pb2.RunState.Value(f"RUN_STATE_{run.state.upper()}"),
        detail=run.detail,
        examples=run.examples,
        done=run.done,
        failures=run.failures,
        cached=run.cached,
        summaries=map(summary_to, run.summaries),
        costs=costs_to(run.costs),
        author=run.author,
        create_time=time_to(run.create_time),
        end_time=time_to(run.end_time) if run.end_time else None,
        label=run.label,
        baseline_run_id=run.baseline_run_id,
    )


def costs_to(costs: Costs) -> service_pb2.RunCosts:
    first = costs.first_text_p50
    return service_pb2.RunCosts(
        latency_p50=duration_to(costs.latency_p50),
        latency_p95=duration_to(costs.latency_p95),
        first_text_p50=None if first is None else duration_to(first),
        input_tokens=costs.input_tokens,
        output_tokens=costs.output_tokens,
        cost_micros=costs.cost_micros,
    )


def ended_events(run: Run, differences: Sequence[Difference]) -> list[Message]:
    """Of the prompt where the run names one, and of the model or chain. Recorded answers and
    searches are of none of them, and a replay says nothing: it is history, not a judgement of
    today."""
    if run.replay_id:
        return []
    common: dict[str, Any] = {
        "run_id": run.run_id,
        "target": target_to(run.target),
        "dataset": run.dataset,
        "dataset_version": run.dataset_version,
        "split": run.split,
        "metrics": [summary_to(one) for one in run.summaries],
        "baseline_run_id": run.baseline_run_id,
        "differences": [difference_to(one) for one in differences],
        "examples": run.examples,
        "failures": run.failures,
    }
    events: list[Message] = []
    if run.target.prompt_name:
        prompt = run.target.prompt_name, run.target.prompt_version
        events.append(
            events_pb2.PromptEvaluated(prompt_name=prompt[0], prompt_version=prompt[1], **common)
        )
    if run.target.kind not in (Kind.RECORDED, Kind.SEARCH):
        events.append(events_pb2.ModelEvaluated(model=run.target.model, **common))
    return events


def time_to(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def duration_to(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
