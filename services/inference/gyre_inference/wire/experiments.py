"""Experiments as messages and back."""

from __future__ import annotations

from gyre.inference.v1 import experiment_pb2

from gyre_inference.domain.allocation import THOMPSON, Allocation, Weighing
from gyre_inference.domain.experiments import Experiment, StickyBy, Variant
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.wire.answers import parameters, parameters_of


def experiment(one: Experiment) -> experiment_pb2.Experiment:
    """With its times, where it has them."""
    message = experiment_pb2.Experiment(
        experiment_id=one.experiment_id,
        workload=one.workload,
        variants=[_variant(variant) for variant in one.variants],
        sticky_by=one.sticky_by.value,
        message=one.message,
        author=one.author,
        allocation=None if one.allocation is None else _allocation(one.allocation),
        weighing=None if one.weighing is None else weighing(one.weighing),
    )
    if one.start is not None:
        message.start_time.FromDatetime(one.start)
    if one.stop is not None:
        message.stop_time.FromDatetime(one.stop)
    return message


def weighing(one: Weighing) -> experiment_pb2.Weighing:
    """What was known, and the shares by that."""
    message = experiment_pb2.Weighing(
        number=one.number,
        variants=[
            experiment_pb2.WeighedVariant(
                name=variant.name,
                share=variant.share,
                count=variant.count,
                mean=variant.mean,
                low=variant.low,
                high=variant.high,
                best=variant.best,
            )
            for variant in one.variants
        ],
    )
    message.weigh_time.FromDatetime(one.time)
    return message


def experiment_of(message: experiment_pb2.Experiment, author: str) -> Experiment:
    """What a client wants to start. Raises `InvalidRequest`."""
    sticky_by = message.sticky_by or StickyBy.CONVERSATION.value
    if sticky_by not in {one.value for one in StickyBy}:
        raise InvalidRequest({"sticky_by": "must be `conversation` or `end_user`"})
    return Experiment(
        experiment_id=message.experiment_id,
        workload=message.workload,
        variants=tuple(_variant_of(variant) for variant in message.variants),
        sticky_by=StickyBy(sticky_by),
        message=message.message,
        author=author,
        allocation=_allocation_of(message.allocation) if message.HasField("allocation") else None,
    )


def _allocation(one: Allocation) -> experiment_pb2.Allocation:
    return experiment_pb2.Allocation(
        method=THOMPSON, metric=one.metric, floor=one.floor, minimum=one.minimum
    )


def _allocation_of(message: experiment_pb2.Allocation) -> Allocation:
    if message.method != THOMPSON:
        raise InvalidRequest({"allocation.method": f"must be `{THOMPSON}`"})
    given = {name: getattr(message, name) for name in ("floor", "minimum")}
    return Allocation(message.metric, **{name: value for name, value in given.items() if value})


def _variant(one: Variant) -> experiment_pb2.Variant:
    return experiment_pb2.Variant(
        name=one.name,
        weight=one.weight,
        prompt_name=one.prompt_name,
        prompt_version=one.prompt_version,
        model=one.model,
        parameters=parameters(one.parameters),
    )


def _variant_of(message: experiment_pb2.Variant) -> Variant:
    return Variant(
        name=message.name,
        weight=message.weight,
        prompt_name=message.prompt_name,
        prompt_version=message.prompt_version,
        model=message.model,
        parameters=parameters_of(message.parameters),
    )
