"""The plan of the bus, as `topology.yaml` says it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import yaml
from gyre_runtime.events.names import CAPITAL
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _seconds(value: object) -> float:
    found = re.fullmatch(r"(\d+)([smhd])", str(value))
    if found is None:
        raise ValueError(f"{value!r} is no duration such as 30s, 10m, 1h or 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}).total_seconds()


Seconds = Annotated[float, BeforeValidator(_seconds)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamPlan(Part):
    """max_age: after it messages go; 0d keeps them."""

    max_age: Seconds
    max_message_bytes: int
    duplicate_window: Seconds
    replicas: int

    def config(self, name: str) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=[f"gyre.{name.lower()}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_age=self.max_age,
            max_msg_size=self.max_message_bytes,
            duplicate_window=self.duplicate_window,
            num_replicas=self.replicas,
            deny_purge=True,
            allow_direct=False,
            allow_atomic=True,
        )


class ConsumerPlan(Part):
    """event: protobuf name of the event that `listener` hears."""

    listener: str
    event: str
    ack_wait: Seconds
    max_ack_pending: int

    @property
    def stream(self) -> str:
        return self.event.split(".")[1].upper()

    @property
    def durable(self) -> str:
        return f"{self.listener}-{_snake(self.event)}"

    def config(self) -> ConsumerConfig:
        package = self.event.rpartition(".")[0]
        return ConsumerConfig(
            durable_name=self.durable,
            filter_subject=f"{package}.{_snake(self.event)}.*",
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=self.ack_wait,
            max_ack_pending=self.max_ack_pending,
            max_deliver=-1,
        )


class BucketPlan(Part):
    description: str
    max_age: Seconds
    replicas: int


class Topology(Part):
    """Raises pydantic.ValidationError where the file says what nobody understands."""

    streams: dict[str, StreamPlan]
    consumers: tuple[ConsumerPlan, ...]
    buckets: dict[str, BucketPlan]


def read_topology(path: Path | None = None, replicas: int | None = None) -> Topology:
    """The plan in `path`, by default this distribution's; `replicas` goes before its own."""
    plan = yaml.safe_load((path or _own_file()).read_text("utf-8"))
    streams = plan["defaults"]["stream"] | ({"replicas": replicas} if replicas else {})
    consumers = plan["defaults"]["consumer"]
    return Topology(
        streams={name: StreamPlan(**streams | own) for name, own in plan["streams"].items()},
        consumers=tuple(ConsumerPlan(**consumers | own) for own in plan["consumers"]),
        buckets={name: _bucket(own, streams) for name, own in plan["buckets"].items()},
    )


def _bucket(own: dict[str, Any], streams: dict[str, Any]) -> BucketPlan:
    return BucketPlan(**{"replicas": streams["replicas"]} | own)


def _own_file() -> Path:
    packed = Path(__file__).parent / "topology.yaml"
    return packed if packed.exists() else packed.parents[1] / "topology.yaml"


def _snake(event: str) -> str:
    return CAPITAL.sub("_", event.rpartition(".")[2]).lower()
