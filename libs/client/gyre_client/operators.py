"""What operators look at: services, the lag of each consumer, and the dead letters.

Needs the extra `cli`, and rights on the bus that product backends do not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import nats
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gyre_runtime.access import connect_options
from gyre_runtime.events.letters import DeadLetter, read_letter
from gyre_runtime.events.names import DEAD_LETTERS
from gyre_runtime.rpc.server import VERSION_KEY
from gyre_runtime.settings import RuntimeSettings
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError as NoMessage

from gyre_client.errors import NotFoundError, UnavailableError
from gyre_client.settings import ClientSettings

SERVICES = (
    "ingestion",
    "embedding",
    "retrieval",
    "inference",
    "feedback",
    "evaluation",
    "retraining",
)
INBOX = "_INBOX_operator"  # the only one that an operator may hear in production
TIMEOUT = 3.0


@dataclass(frozen=True)
class ServiceStatus:
    """A service as its health check tells it. state: SERVING, NOT_SERVING or unreachable."""

    name: str
    address: str
    state: str
    version: str


@dataclass(frozen=True)
class ConsumerLag:
    """Events that a consumer has not done yet: not delivered (pending), or not acknowledged."""

    stream: str
    consumer: str
    pending: int
    unacknowledged: int
    redelivered: int

    @property
    def lag(self) -> int:
        """What a service is scaled on."""
        return self.pending + self.unacknowledged


async def service_statuses(settings: ClientSettings) -> list[ServiceStatus]:
    """Asks every service at once; a service that does not answer is told as such."""
    addresses = {name: getattr(settings, f"{name}_address") for name in SERVICES}
    asked = (_service_status(name, address) for name, address in addresses.items())
    return list(await asyncio.gather(*asked))


class Bus:
    """The operator's view of NATS JetStream."""

    def __init__(self, client: Client) -> None:
        self.jetstream = client.jetstream()

    async def consumers(self) -> list[ConsumerLag]:
        """Every consumer of every stream, from its leader."""
        found: list[ConsumerLag] = []
        for stream in await self.jetstream.streams_info():
            name = str(stream.config.name)
            for info in await self.jetstream.consumers_info(name):
                lag = (info.num_pending or 0, info.num_ack_pending or 0, info.num_redelivered or 0)
                found.append(ConsumerLag(name, info.name, *lag))
        return sorted(found, key=lambda one: (one.stream, one.consumer))

    async def dead_letter_count(self) -> int:
        """Dead letters that wait for a decision."""
        return (await self.jetstream.stream_info(DEAD_LETTERS)).state.messages

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The newest `limit` dead letters, newest first."""
        state = (await self.jetstream.stream_info(DEAD_LETTERS)).state
        found: list[DeadLetter] = []
        for sequence in range(state.last_seq, state.first_seq - 1, -1):
            if len(found) == limit or not state.messages:
                break
            try:
                found.append(read_letter(await self._message(sequence)))
            except NoMessage:
                continue
        return found

    async def dead_letter(self, sequence: int) -> DeadLetter:
        """One dead letter; NotFoundError when there is none of that number."""
        try:
            return read_letter(await self._message(sequence))
        except NoMessage as error:
            raise NotFoundError("NOT_FOUND", f"there is no dead letter {sequence}") from error

    async def redrive(self, sequence: int) -> str:
        """Gives a letter back to the listener that set it aside; returns the subject it went to.

        May be repeated. NotFoundError when there is none of that number; UnavailableError when
        the bus did not take it.
        """
        # Imported here: the bus brings a database, whose import takes longer than most commands.
        from gyre_runtime.bus.publishing import NotPublished
        from gyre_runtime.bus.redrive import redrive

        subject = (await self.dead_letter(sequence)).origin_subject
        try:
            await redrive(self.jetstream, sequence)
        except LookupError as error:
            raise NotFoundError("NOT_FOUND", str(error)) from error
        except (NotPublished, NatsError) as error:
            raise UnavailableError("UNAVAILABLE", f"{sequence} did not go back: {error}") from error
        return subject

    async def _message(self, sequence: int) -> RawStreamMsg:
        return await self.jetstream.get_msg(DEAD_LETTERS, sequence)


@asynccontextmanager
async def connected() -> AsyncIterator[Bus]:
    """Connects to the bus of the settings; raises UnavailableError when it is away."""
    settings = RuntimeSettings(_env_file=(".env", "var/platform.env"))
    try:
        client = await nats.connect(
            settings.nats_url.split(","),
            connect_timeout=TIMEOUT,
            allow_reconnect=False,
            # Without it, a first connection is tried for two minutes.
            max_reconnect_attempts=1,
            reconnect_time_wait=0.2,
            error_cb=_quiet,
            inbox_prefix=INBOX,
            **connect_options(settings),
        )
    except (OSError, NatsError, TimeoutError) as error:
        raise UnavailableError(
            "UNAVAILABLE", f"NATS at {settings.nats_url} does not answer; is the platform up?"
        ) from error
    try:
        yield Bus(client)
    finally:
        await client.close()


async def _quiet(error: Exception) -> None:
    """The error of a first connection is raised as well; twice would be once too often."""


async def _service_status(name: str, address: str) -> ServiceStatus:
    async with grpc.aio.insecure_channel(address) as channel:
        call = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT
        )
        try:
            reply = await call
            metadata = dict(await call.initial_metadata())
        except grpc.aio.AioRpcError:
            return ServiceStatus(name, address, "unreachable", "")
    state = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
    return ServiceStatus(name, address, state, str(metadata.get(VERSION_KEY, "")))
