"""Runs of chains as messages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from gyre.inference.v1 import chain_pb2

from gyre_inference.domain.chain_runs import ChainRun, RunState, StepRecord
from gyre_inference.wire.answers import usage


def value(data: Any) -> Value:
    """Plain data."""
    return ParseDict(data, Value())


def data_of(message: Struct) -> dict[str, Any]:
    """Plain data; the wire has no integers, so a number without a fraction is one."""
    found = _whole(MessageToDict(message))
    assert isinstance(found, dict)
    return found


def _whole(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _whole(one) for name, one in data.items()}
    if isinstance(data, list):
        return [_whole(one) for one in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def step_record(step: StepRecord) -> chain_pb2.StepRecord:
    """What one step did."""
    message = chain_pb2.StepRecord(
        step_id=step.step_id,
        parent_step_id=step.parent_step_id,
        kind=step.kind,
        name=step.name,
        status=step.status,
        input=value(step.input),
        output=value(step.output),
        usage=usage(step.usage) if step.usage.tokens else None,
        resumed=step.resumed,
    )
    message.start_time.FromDatetime(step.start)
    message.duration.FromTimedelta(timedelta(seconds=step.seconds))
    return message


def chain_run(run: ChainRun) -> chain_pb2.ChainRun:
    """All that was recorded."""
    header, ending = run.header, run.ending
    state = ending.state if ending else RunState.OPEN
    failed = ending is not None and ending.state is RunState.FAILED
    message = chain_pb2.ChainRun(
        chain_run_id=header.chain_run_id,
        chain=header.chain,
        version=int(header.version),
        state=chain_pb2.ChainRunState.Value(f"CHAIN_RUN_STATE_{state.value}"),
        inputs=ParseDict(dict(header.inputs), Struct()),
        steps=map(step_record, run.steps),
        answer_id=header.answer_id,
        status=ending.status if ending and failed else "",
        detail=ending.detail if ending else "",
    )
    if ending is not None and not failed:
        message.output.CopyFrom(value(ending.output))
    message.start_time.FromDatetime(header.start)
    return message
