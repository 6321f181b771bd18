"""A message as the worker sees it, whatever bus brought it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nats.aio.msg import Msg

from gyre_runtime.bus.gathering import Gathering

ACK_TIMEOUT = 2.0
Acks = Gathering[Msg, None]


class Incoming(Protocol):
    """One delivery of one message of a stream. Settling it may raise when the bus is away: the
    message then comes again."""

    @property
    def subject(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def data(self) -> bytes: ...

    @property
    def stream(self) -> str: ...

    @property
    def sequence(self) -> int: ...

    @property
    def deliveries(self) -> int: ...

    @property
    def time(self) -> datetime: ...

    async def ack(self) -> None:
        """Returns when the bus has noted it."""

    async def nak(self, delay: float) -> None:
        """Asks for it again after `delay` seconds."""

    async def term(self) -> None:
        """Never again, for this consumer."""

    async def in_progress(self) -> None:
        """More time, counted from now."""


@dataclass(frozen=True)
class NatsIncoming:
    """A JetStream message."""

    subject: str
    headers: Mapping[str, str]
    data: bytes
    stream: str
    sequence: int
    deliveries: int
    time: datetime
    raw: Msg
    acks: Acks

    @classmethod
    def of(cls, raw: Msg, acks: Acks) -> NatsIncoming:
        about = raw.metadata
        return cls(
            subject=raw.subject,
            headers=raw.headers or {},
            data=raw.data,
            stream=about.stream,
            sequence=about.sequence.stream,
            deliveries=about.num_delivered or 1,
            time=about.timestamp,
            raw=raw,
            acks=acks,
        )

    async def ack(self) -> None:
        await self.acks.ask(self.raw)

    async def nak(self, delay: float) -> None:
        if not self.raw.is_acked:  # an acknowledgement whose answer got lost is not taken back
            await self.raw.nak(delay=delay)

    async def term(self) -> None:
        await self.raw.term()

    async def in_progress(self) -> None:
        await self.raw.in_progress()


async def acknowledge(group: Sequence[Msg]) -> Sequence[None]:
    """The bus notes the acknowledgements of one consumer in the order in which they come: its
    answer to the last one is the answer to all."""
    for message in group[:-1]:
        await message.ack()
    await group[-1].ack_sync(timeout=ACK_TIMEOUT)
    return [None] * len(group)
