"""One contract for all content stores: the memory twin, JetStream, S3."""

import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from gyre_ingestion.adapters.jetstream import JetStreamContentStore
from gyre_ingestion.adapters.memory import MemoryContentStore
from gyre_ingestion.adapters.s3 import S3ContentStore
from gyre_ingestion.domain.documents import Content
from gyre_ingestion.ports import ContentMissingError
from gyre_local.nats import NatsServer, NatsSettings
from moto.server import ThreadedMotoServer
from nats.js.api import ObjectStoreConfig, StorageType
from obstore.store import S3Store

BIG = bytes(range(256)) * 2048
BUCKET = "documents"


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    state: Path = tmp_path_factory.mktemp("nats")
    with NatsServer(NatsSettings(state)) as server:
        yield server.url


@pytest.fixture(scope="module")
def s3_url() -> Any:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@asynccontextmanager
async def jetstream_of(url: str) -> AsyncIterator[Any]:
    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    config = ObjectStoreConfig(storage=StorageType.FILE)
    await jetstream.create_object_store(BUCKET, config)
    try:
        yield jetstream
    finally:
        await jetstream.delete_object_store(BUCKET)
        await connection.close()


def bucket_of(url: str) -> S3Store:
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    return S3Store(
        BUCKET,
        endpoint=url,
        access_key_id="test",
        secret_access_key="test",
        region="us-east-1",
        client_options={"allow_http": True},
    )


@pytest.fixture(params=["memory", "jetstream", "s3"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield MemoryContentStore(lambda: datetime.now(UTC))
    elif request.param == "s3":
        yield S3ContentStore(bucket_of(request.getfixturevalue("s3_url")), BUCKET)
    else:
        async with jetstream_of(request.getfixturevalue("nats_url")) as jetstream:
            yield JetStreamContentStore(lambda: jetstream, BUCKET, patience=2)


async def put(store: Any, data: bytes, tenant: str = "acme") -> Content:
    digest = hashlib.sha256(data).hexdigest()
    content: Content = await store.put(tenant, digest, io.BytesIO(data), len(data))
    return content


@pytest.mark.parametrize("data", [b"", b"a few bytes", BIG], ids=["empty", "small", "pieces"])
async def test_what_is_put_is_what_is_got(store: Any, data: bytes) -> None:
    content = await put(store, data)
    assert (content.size_bytes, content.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert await store.get(content) == data


async def test_putting_it_again_changes_nothing(store: Any) -> None:
    first, second = await put(store, BIG), await put(store, BIG)
    assert first == second
    assert await store.get(first) == BIG
    assert [name async for name in store.names()] == [("acme", first.sha256)]


async def test_tenants_have_their_own_copies(store: Any) -> None:
    mine, theirs = await put(store, b"text", "acme"), await put(store, b"text", "other")
    assert mine.uri != theirs.uri
    assert await store.remove_unless_fresh("acme", mine.sha256, tomorrow())
    assert await store.get(theirs) == b"text"


async def test_what_is_not_there_is_missed_in_time(store: Any) -> None:
    content = await put(store, b"text")
    gone = Content(content.uri.replace("acme", "nobody"), content.sha256, 4)
    elsewhere = Content("ftp://elsewhere/x", content.sha256, 4)
    for absent in (gone, elsewhere):
        with pytest.raises(ContentMissingError):
            await store.get(absent)


async def test_only_what_is_old_is_removed(store: Any) -> None:
    content = await put(store, BIG)
    name = ("acme", content.sha256)
    assert not await store.remove_unless_fresh(*name, datetime.now(UTC) - timedelta(hours=1))
    assert await store.get(content) == BIG
    assert await store.remove_unless_fresh(*name, tomorrow())
    assert not await store.remove_unless_fresh(*name, tomorrow())
    with pytest.raises(ContentMissingError):
        await store.get(content)
    assert [found async for found in store.names()] == []
    assert await store.remove_fragments(tomorrow()) == 0


async def test_a_put_that_was_killed_half_way_is_swept_and_no_other(nats_url: str) -> None:
    async with jetstream_of(nats_url) as jetstream:
        store = JetStreamContentStore(lambda: jetstream, BUCKET)
        whole = await put(store, BIG)
        await kill_half_way(jetstream)
        assert await store.remove_fragments(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert await store.remove_fragments(tomorrow()) == 1
        assert await store.remove_fragments(tomorrow()) == 0
        assert await store.get(whole) == BIG


async def test_an_object_whose_pieces_are_lost_ends_as_missing(nats_url: str) -> None:
    async with jetstream_of(nats_url) as jetstream:
        store = JetStreamContentStore(lambda: jetstream, BUCKET, patience=1)
        content = await put(store, BIG)
        await jetstream.purge_stream(f"OBJ_{BUCKET}", subject=f"$O.{BUCKET}.C.>", keep=1)
        with pytest.raises(ContentMissingError):
            await store.get(content)


async def test_what_is_put_again_while_it_is_removed_stays(nats_url: str) -> None:
    async with jetstream_of(nats_url) as jetstream:
        store = JetStreamContentStore(lambda: jetstream, BUCKET)
        content = await put(store, BIG)
        purge = jetstream.purge_stream

        async def late_purge(*given: Any, **named: Any) -> bool:
            jetstream.purge_stream = purge
            await put(store, BIG)
            return bool(await purge(*given, **named))

        jetstream.purge_stream = late_purge
        await store.remove_unless_fresh("acme", content.sha256, tomorrow())
        assert await store.get(content) == BIG


class Killed(BaseException):
    """No `Exception`: what clears up after one does not run, as after kill -9."""


async def kill_half_way(jetstream: Any) -> None:
    """A put whose process dies after some pieces."""

    class Dying(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            return super().readinto(buffer) or self._die()

        def _die(self) -> int:
            raise Killed

    store = await jetstream.object_store(BUCKET)
    with pytest.raises(Killed):
        await store.put("acme/half", Dying(BIG))


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)
