"""Streams, consumers and buckets on NATS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ObjectStoreConfig, StreamConfig
from nats.js.errors import BucketNotFoundError, NotFoundError

from gyre_provisioner.part import Difference
from gyre_provisioner.topology import BucketPlan, ConsumerPlan, StreamPlan, Topology

# The server refuses to change these; everything else is updated in place.
FIXED_STREAM = frozenset({"retention", "storage"})
FIXED_CONSUMER = frozenset({"deliver_policy", "ack_policy"})


class BusPart:
    """See `Provisioned`."""

    name = "bus"

    def __init__(self, jetstream: JetStreamContext, topology: Topology) -> None:
        self._jetstream = jetstream
        self._topology = topology

    async def differences(self) -> Sequence[Difference]:
        found: list[Difference] = []
        for name, stream in self._topology.streams.items():
            found += _compare(
                f"stream {name}", stream.config(name), await self._stream(name), FIXED_STREAM
            )
        for consumer in self._topology.consumers:
            found += await self._consumer_differences(consumer)
        for name in self._topology.buckets:
            if not await self._has_bucket(name):
                found.append(Difference(f"bucket {name}", "", "", None))
        return found

    async def repair(self, *, only_missing: bool) -> None:
        for name, stream in self._topology.streams.items():
            await self._repair_stream(name, stream, only_missing)
        for consumer in self._topology.consumers:
            await self._repair_consumer(consumer, only_missing)
        for name, bucket in self._topology.buckets.items():
            if not await self._has_bucket(name):
                await self._jetstream.create_object_store(name, _bucket_config(bucket))

    async def _repair_stream(self, name: str, plan: StreamPlan, only_missing: bool) -> None:
        found, wanted = await self._stream(name), plan.config(name)
        if found is None:
            await self._jetstream.add_stream(wanted)
        elif not only_missing and _repairable(wanted, found, FIXED_STREAM):
            await self._jetstream.update_stream(_merged(found, wanted, FIXED_STREAM))

    async def _repair_consumer(self, plan: ConsumerPlan, only_missing: bool) -> None:
        found, wanted = await self._consumer(plan), plan.config()
        if found is None:
            await self._jetstream.add_consumer(plan.stream, wanted)
        elif not only_missing and _repairable(wanted, found, FIXED_CONSUMER):
            await self._jetstream.add_consumer(plan.stream, _merged(found, wanted, FIXED_CONSUMER))

    async def _consumer_differences(self, plan: ConsumerPlan) -> list[Difference]:
        thing = f"consumer {plan.stream}/{plan.durable}"
        return _compare(thing, plan.config(), await self._consumer(plan), FIXED_CONSUMER)

    async def _stream(self, name: str) -> StreamConfig | None:
        try:
            return (await self._jetstream.stream_info(name)).config
        except NotFoundError:
            return None

    async def _consumer(self, plan: ConsumerPlan) -> ConsumerConfig | None:
        try:
            info = await self._jetstream.consumer_info(plan.stream, plan.durable)
        except NotFoundError:
            return None
        config: ConsumerConfig = info.config
        return config

    async def _has_bucket(self, name: str) -> bool:
        try:
            await self._jetstream.object_store(name)
        except (BucketNotFoundError, NotFoundError):
            return False
        return True


def _compare(thing: str, wanted: Any, found: Any, fixed: frozenset[str]) -> list[Difference]:
    """Settings that the plan is silent about (None) are left as they are."""
    if found is None:
        return [Difference(thing, "", "", None)]
    differences = []
    for setting in (field.name for field in fields(wanted)):
        want, have = getattr(wanted, setting), getattr(found, setting)
        if want is not None and _plain(want) != _plain(have):
            repairable = setting not in fixed
            differences.append(Difference(thing, setting, _plain(want), _plain(have), repairable))
    return differences


def _repairable(wanted: Any, found: Any, fixed: frozenset[str]) -> bool:
    return any(difference.repairable for difference in _compare("", wanted, found, fixed))


def _merged(found: Any, wanted: Any, fixed: frozenset[str]) -> Any:
    names = (field.name for field in fields(wanted) if field.name not in fixed)
    changes = {name: getattr(wanted, name) for name in names}
    return found.evolve(**{name: value for name, value in changes.items() if value is not None})


def _plain(value: object) -> str:
    """The server leaves out what is nothing: 0, False and absent are the same to it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(getattr(value, "value", value) or "none")


def _bucket_config(plan: BucketPlan) -> ObjectStoreConfig:
    return ObjectStoreConfig(
        description=plan.description, ttl=plan.max_age or None, replicas=plan.replicas
    )
