"""Originals in a JetStream object store, which the provisioner made."""

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

import nats.errors
from gyre_runtime.failures import Overloaded
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError
from nats.js.object_store import ObjectStore

from gyre_ingestion.domain.documents import Content
from gyre_ingestion.ports import ContentMissingError, ContentsUnavailableError

_BATCH = 32
_IDLE_SECONDS = 60.0
_NO_ROOM = {10023, 10047, 10077}  # the server's, the account's, the stream's limit
_RETRY = 30.0


@dataclass(frozen=True)
class _Meta:
    """What the newest message about an object says; `nuid` names its pieces."""

    name: str
    nuid: str
    sequence: int
    written: datetime


class JetStreamContentStore:
    """`jetstream` gives the connection of the moment; every wait ends after `patience` seconds."""

    def __init__(
        self, jetstream: Callable[[], JetStreamContext], bucket: str, patience: float = 30.0
    ) -> None:
        self._jetstream = jetstream
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"
        self._patience = patience
        self._whole: set[str] = set()

    async def put(self, tenant: str, sha256: str, body: BinaryIO, size_bytes: int) -> Content:
        name = f"{tenant}/{sha256}"
        try:
            info = await self._store().put(name, cast(io.BufferedIOBase, body))
        except NoStreamResponseError as error:
            missing = f"there is no object store {self._bucket!r}: run the provisioner"
            raise ContentsUnavailableError(missing) from error
        except APIError as error:
            if error.err_code not in _NO_ROOM:
                raise ContentsUnavailableError(f"the object store refuses: {error}") from error
            raise Overloaded(
                "bus", "the bus's disk is full: make room", retry_after=_RETRY
            ) from error
        except (nats.errors.Error, ConnectionError) as error:
            raise ContentsUnavailableError("the object store does not answer") from error
        if info.size != size_bytes:
            raise ValueError(f"{info.size} bytes were stored where {size_bytes} were promised")
        return Content(f"nats://{self._bucket}/{name}", sha256, size_bytes)

    async def get(self, content: Content) -> bytes:
        prefix = f"nats://{self._bucket}/"
        if not content.uri.startswith(prefix):
            raise ContentMissingError(f"{content.uri} is not in the object store in use")
        try:
            async with asyncio.timeout(self._patience):
                data = await self._read(content.uri.removeprefix(prefix))
        except TimeoutError:
            raise ContentMissingError(f"{content.uri} did not come whole in time") from None
        if hashlib.sha256(data).hexdigest() != content.sha256:
            raise ContentMissingError(f"{content.uri} is not what was stored")
        return data

    async def names(self) -> AsyncIterator[tuple[str, str]]:
        async for meta in self._metas():
            tenant, _, sha256 = meta.name.partition("/")
            yield tenant, sha256

    async def remove_unless_fresh(self, tenant: str, sha256: str, moment: datetime) -> bool:
        subject = _meta_subject(self._bucket, f"{tenant}/{sha256}")
        async for message in self._messages(subject, DeliverPolicy.LAST_PER_SUBJECT):
            meta = _meta(message)
            if meta is None or meta.written > moment:
                return False
            # Only up to the message seen: a put that comes in between stays untouched.
            jetstream = self._jetstream()
            await jetstream.purge_stream(self._stream, meta.sequence + 1, subject)
            await jetstream.purge_stream(self._stream, subject=self._pieces(meta.nuid))
            return True
        return False

    async def remove_fragments(self, moment: datetime) -> int:
        prefix = self._pieces("")
        jetstream = self._jetstream()
        info = await jetstream.stream_info(self._stream, subjects_filter=self._pieces(">"))
        found = {subject.removeprefix(prefix) for subject in info.state.subjects or ()}
        suspects = found - self._whole
        if suspects:
            self._whole = found & {meta.nuid async for meta in self._metas()}
        old = [nuid for nuid in suspects - self._whole if await self._is_old(nuid, moment)]
        for nuid in old:
            await jetstream.purge_stream(self._stream, subject=self._pieces(nuid))
        return len(old)

    async def _is_old(self, nuid: str, moment: datetime) -> bool:
        try:
            last = await self._jetstream().get_last_msg(self._stream, self._pieces(nuid))
        except NotFoundError:
            return False
        return last.time is not None and last.time < moment

    def _store(self) -> ObjectStore:
        return ObjectStore(self._bucket, self._stream, self._jetstream())

    async def _read(self, name: str) -> bytes:
        """One request where one piece is all; a consumer is made for more."""
        try:
            info = await self._store().get_info(name)
            if info.chunks == 1:
                piece = await self._jetstream().get_last_msg(self._stream, self._pieces(info.nuid))
                return piece.data or b""
        except NotFoundError:
            raise ContentMissingError(f"{name} is not in the object store") from None
        data = bytearray()
        if info.chunks:
            async for message in self._messages(self._pieces(info.nuid)):
                data += message.data
        return bytes(data)

    async def _metas(self) -> AsyncIterator[_Meta]:
        subject = f"$O.{self._bucket}.M.>"
        async for message in self._messages(subject, DeliverPolicy.LAST_PER_SUBJECT):
            if meta := _meta(message):
                yield meta

    async def _messages(
        self, subject: str, policy: DeliverPolicy = DeliverPolicy.ALL
    ) -> AsyncIterator[Msg]:
        """All that is there now. Pulled, not pushed: a missing piece ends as a timeout."""
        async with self._consumer(subject, policy) as (consumer, pending):
            seen = 0
            while seen < pending:
                batch = await consumer.fetch(min(pending - seen, _BATCH), timeout=self._patience)
                seen += len(batch)
                for message in batch:
                    yield message

    @asynccontextmanager
    async def _consumer(
        self, subject: str, policy: DeliverPolicy
    ) -> AsyncIterator[tuple[JetStreamContext.PullSubscription, int]]:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=policy,
            filter_subject=subject,
            inactive_threshold=_IDLE_SECONDS,
            mem_storage=True,
        )
        jetstream = self._jetstream()
        info = await jetstream.add_consumer(self._stream, config)
        consumer = await jetstream.pull_subscribe_bind(info.name, stream=self._stream)
        try:
            yield consumer, info.num_pending or 0
        finally:
            await consumer.unsubscribe()
            await jetstream.delete_consumer(self._stream, info.name)

    def _pieces(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"


def _meta(message: Msg) -> _Meta | None:
    said = json.loads(message.data)
    if said.get("deleted"):
        return None
    place = message.metadata
    return _Meta(said["name"], said["nuid"], place.sequence.stream, place.timestamp)


def _meta_subject(bucket: str, name: str) -> str:
    encoded = base64.urlsafe_b64encode(name.encode()).decode()
    return f"$O.{bucket}.M.{encoded}"
