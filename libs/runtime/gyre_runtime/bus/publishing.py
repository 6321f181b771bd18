"""Acknowledged publishing on JetStream, in atomic batches where there is more than one event."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError
from nats.js.errors import APIError

from gyre_runtime.events.envelope import Outgoing
from gyre_runtime.telemetry import counter

BATCH_LIMIT = 100
BATCH_BYTES = 8 * 1024 * 1024
DUPLICATE_IN_BATCH = 10201
ACK_TIMEOUT = 5.0
_published = counter("bus_published", "Events that the bus acknowledged", ["stream", "how"])


class NotPublished(Exception):
    """The bus did not acknowledge; the event may or may not be there."""


class JetStreamPublisher:
    """One batch is one fsync on the bus: many times the rate of single events."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def publish(self, events: Sequence[Outgoing]) -> None:
        """See `Publisher`. Events of one stream keep their order."""
        for stream, group in groupby(events, key=lambda event: event.stream):
            for batch in _batches(group):
                await self._publish_batch(stream, batch)

    async def _publish_batch(self, stream: str, batch: list[Outgoing]) -> None:
        if len(batch) > 1 and await self._atomically(stream, batch):
            _published.labels(stream, "batch").inc(len(batch))
            return
        # A batch that holds a known id is refused whole: singly, the known one is dropped.
        for event in batch:
            await self._request(event, event.headers, stream)
            _published.labels(stream, "single").inc()

    async def _atomically(self, stream: str, batch: list[Outgoing]) -> bool:
        """False when the batch holds an id that the bus knows."""
        batch_id, last = uuid.uuid4().hex, len(batch)
        try:
            for place, event in enumerate(batch, 1):
                headers = event.headers | {
                    "Nats-Batch-Id": batch_id,
                    "Nats-Batch-Sequence": str(place),
                }
                if place == 1:
                    await self._open(event, headers)
                elif place < last:
                    await self._client.publish(event.subject, event.body, headers=headers)
                else:
                    headers["Nats-Batch-Commit"] = "1"
                    await self._request(event, headers, stream)
        except APIError as error:
            if error.err_code == DUPLICATE_IN_BATCH:
                return False
            raise
        return True

    async def _open(self, event: Outgoing, headers: dict[str, str]) -> None:
        reply = await self._ask(event, headers)
        if reply:
            _raise_error(reply)
            raise NotPublished(f"a batch was answered with {reply!r:.200}")

    async def _request(self, event: Outgoing, headers: dict[str, str], stream: str) -> None:
        reply = await self._ask(event, headers)
        _raise_error(reply)
        acknowledged = json.loads(reply).get("stream")
        if acknowledged != stream:
            raise NotPublished(f"{event.subject} went to {acknowledged}, not to {stream}")

    async def _ask(self, event: Outgoing, headers: dict[str, str]) -> bytes:
        try:
            reply = await self._client.request(
                event.subject, event.body, timeout=ACK_TIMEOUT, headers=headers
            )
        except NoRespondersError as error:
            raise NotPublished(
                f"no stream holds {event.subject}: run `python -m gyre_provisioner --apply`"
            ) from error
        except (TimeoutError, ConnectionClosedError) as error:
            raise NotPublished(f"no acknowledgement for {event.subject}") from error
        return reply.data


def _raise_error(reply: bytes) -> None:
    error = json.loads(reply).get("error")
    if error:
        raise APIError.from_error(error)


def _batches(events: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    batch: list[Outgoing] = []
    size = 0
    for event in events:
        if batch and (len(batch) == BATCH_LIMIT or size + len(event.body) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.body)
    if batch:
        yield batch
