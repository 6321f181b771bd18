"""The whole service in process: real gRPC, real NATS, its own database; only parsing is a twin."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import nats
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from gyre.embedding.v1.events_pb2 import ChunksEmbedded
from gyre.ingestion.v1 import service_pb2 as pb
from gyre.ingestion.v1.events_pb2 import (
    REJECTION_REASON_NOT_PROCESSED,
    DocumentChunked,
    DocumentDeleted,
)
from gyre.ingestion.v1.service_pb2_grpc import IngestionServiceStub
from gyre.retrieval.v1.events_pb2 import DocumentIndexed
from gyre_ingestion.adapters.memory_parsing import MailRedactor, PlainParser, WordTokenizer
from gyre_ingestion.adapters.tables import metadata
from gyre_ingestion.app import build
from gyre_ingestion.domain.parsed import ParsedDocument
from gyre_ingestion.settings import Settings
from gyre_local.nats import NatsServer, NatsSettings
from gyre_runtime.bus import Bus, stream_of, subject_of, trial
from gyre_runtime.bus.redrive import redrive
from gyre_runtime.database import Database
from gyre_runtime.settings import ApiKey
from nats.js.api import ConsumerConfig, DeliverPolicy, ObjectStoreConfig, StreamConfig

KEYS = {
    "reader": ApiKey(tenant="demo", principal="r", roles=frozenset({"reader"})),
    "writer": ApiKey(tenant="demo", principal="w", roles=frozenset({"writer"})),
    "stranger": ApiKey(tenant="other", principal="s", roles=frozenset({"admin"})),
}
LONG = "\n\n".join(f"Paragraph number {n} says that {n} times two is {2 * n}." for n in range(60))


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with NatsServer(NatsSettings(tmp_path_factory.mktemp("nats"))) as server:
        yield server.url


@pytest.fixture
async def jetstream(nats_url: str) -> AsyncIterator[Any]:
    """Streams and consumers as the provisioner makes them, new for every test."""
    connection = await nats.connect(nats_url)
    jetstream = connection.jetstream()
    for owner in ("ingestion", "embedding", "retrieval", "deadletters"):
        subjects = [f"gyre.{owner}.>"]
        config = StreamConfig(owner.upper(), subjects=subjects, allow_atomic=True)
        await jetstream.add_stream(config)
    await jetstream.create_object_store("gyre-documents", ObjectStoreConfig())
    yield jetstream
    for stream in await jetstream.streams_info():
        await jetstream.delete_stream(stream.config.name)
    await connection.close()


TWINS = {"parser": PlainParser(), "redactor": MailRedactor(), "tokenizer": WordTokenizer()}


@pytest.fixture
async def service(jetstream: Any, settings: Settings) -> AsyncIterator[Any]:
    async with running(jetstream, settings, **TWINS) as service:
        yield service


@pytest.fixture
def settings(nats_url: str, tmp_path: Path) -> Settings:
    (tmp_path / "imports").mkdir()
    return Settings(
        nats_url=nats_url,
        grpc_address="127.0.0.1:0",
        metrics_port=0,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/ingestion.db",
        max_document_bytes=100_000,
        import_roots=(tmp_path / "imports",),
        chunk_tokens=32,
        part_chunks=32,
        watch_poll_seconds=30,
        api_keys=KEYS,
    )


@asynccontextmanager
async def running(jetstream: Any, settings: Settings, **replaced: Any) -> AsyncIterator[Any]:
    """The service with its consumers; what is not replaced is real."""
    database = Database(str(settings.database_url), metadata)
    bus = Bus(settings, "ingestion", database=database)
    service = build(settings, bus=bus, database=database, **replaced)
    for heard in bus.subscriptions:
        consumer = ConsumerConfig(heard.durable, filter_subject=heard.subject, ack_wait=30)
        await jetstream.add_consumer(heard.stream, consumer)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
async def stub(service: Any) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
        yield IngestionServiceStub(channel)


def key(name: str = "gyre-dev-key") -> dict[str, Any]:
    return {"metadata": (("authorization", f"Bearer {name}"),), "timeout": 60}


async def upload(stub: Any, uri: str, text: str, **header: Any) -> Any:
    async def messages() -> AsyncIterator[pb.UploadDocumentRequest]:
        yield pb.UploadDocumentRequest(header=pb.UploadHeader(source_uri=uri, **header))
        data = text.encode()
        for start in range(0, len(data), 1000):
            yield pb.UploadDocumentRequest(content=data[start : start + 1000])

    return await stub.UploadDocument(messages(), **key())


async def until(stub: Any, document: Any, state: str) -> Any:
    """Watches the document until it is in the state."""
    names = [document.revision.document_id]
    call = stub.WatchDocuments(pb.WatchDocumentsRequest(document_ids=names), **key())
    async for reply in call:
        if reply.document.state == pb.DocumentState.Value(f"DOCUMENT_STATE_{state}"):
            call.cancel()
            return reply.document
    raise AssertionError("the watch ended")


async def heard(jetstream: Any, event: type[Message], count: int) -> list[Any]:
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    subject = subject_of(event, "demo")
    consumer = await jetstream.pull_subscribe(subject, stream=stream_of(event), config=config)
    found: list[Any] = []
    while len(found) < count:
        found += [event.FromString(one.data) for one in await consumer.fetch(count, timeout=120)]
    await consumer.unsubscribe()
    return found


async def say(jetstream: Any, event: Message) -> None:
    headers = {"Content-Type": "application/protobuf"}
    subject = subject_of(type(event), "demo")
    await jetstream.publish(subject, event.SerializeToString(), headers=headers)


async def test_an_uploaded_document_is_followed_until_search_finds_it(
    stub: Any, jetstream: Any
) -> None:
    sha256 = hashlib.sha256(LONG.encode()).hexdigest()
    reply = await upload(stub, "a.txt", LONG, metadata={"team": "one"}, sha256=sha256)
    assert reply.created_revision
    document = await until(stub, reply.document, "CHUNKED")
    parts = await heard(jetstream, DocumentChunked, 2)
    assert document.chunk_count == sum(len(part.chunks) for part in parts)
    assert {part.part_count for part in parts} == {len(parts)}
    assert parts[0].source.metadata == {"team": "one"}
    for part in parts:
        known = {"revision": part.revision, "attempt": part.attempt}
        await say(jetstream, ChunksEmbedded(part_index=part.part_index, **known))
    await until(stub, document, "EMBEDDED")
    await say(jetstream, DocumentIndexed(revision=document.revision, attempt=1))
    assert (await until(stub, document, "INDEXED")).indexed_revision == 1


async def test_the_same_upload_again_creates_nothing(stub: Any) -> None:
    first = await upload(stub, "a.txt", "text")
    again = await upload(stub, "a.txt", "text")
    assert (first.created_revision, again.created_revision) == (True, False)
    assert again.document.revision == first.document.revision


async def test_a_deletion_is_said_and_shown(stub: Any, jetstream: Any) -> None:
    document = (await upload(stub, "a.txt", "text")).document
    request = pb.DeleteDocumentRequest(document_id=document.revision.document_id)
    deleted = (await stub.DeleteDocument(request, **key())).document
    assert deleted.state == pb.DOCUMENT_STATE_DELETED
    [said] = await heard(jetstream, DocumentDeleted, 1)
    assert said.revision.document_id == document.revision.document_id
    listed = await stub.ListDocuments(pb.ListDocumentsRequest(), **key())
    assert (len(listed.documents), listed.total_size) == (0, 0)


async def test_a_watch_begins_with_what_is_there_and_goes_on(stub: Any) -> None:
    await upload(stub, "a.txt", "first text")
    call = stub.WatchDocuments(pb.WatchDocumentsRequest(), **key())
    first = await call.read()
    assert first.document.source.source_uri == "a.txt"
    await upload(stub, "b.txt", "%PDF")
    seen = first.document
    while seen.state != pb.DOCUMENT_STATE_REJECTED:
        seen = (await asyncio.wait_for(call.read(), 150)).document
    assert (seen.source.source_uri, seen.rejection_detail) == (
        "b.txt",
        "This parser reads plain text only.",
    )
    call.cancel()


async def test_a_tenant_sees_nothing_of_another(stub: Any) -> None:
    document = (await upload(stub, "a.txt", "text")).document
    name = document.revision.document_id
    stranger = key("stranger")
    for call in (
        stub.GetDocument(pb.GetDocumentRequest(document_id=name), **stranger),
        stub.DeleteDocument(pb.DeleteDocumentRequest(document_id=name), **stranger),
    ):
        assert await code_of(call) is grpc.StatusCode.NOT_FOUND
    listed = await stub.ListDocuments(pb.ListDocumentsRequest(), **stranger)
    profile = await stub.ProfileCollection(pb.ProfileCollectionRequest(), **stranger)
    request = pb.ReprocessDocumentsRequest(document_ids=[name])
    again = await stub.ReprocessDocuments(request, **stranger)
    assert (listed.total_size, profile.document_count, again.document_count) == (0, 0, 0)


async def test_roles_are_asked_for(stub: Any) -> None:
    delete = pb.DeleteDocumentRequest(document_id="x")
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert await code_of(stub.DeleteDocument(delete, **key("reader"))) is denied
    assert await code_of(stub.ListDocuments(pb.ListDocumentsRequest(), **key("writer"))) is denied
    configure = pb.ConfigureCollectionRequest()
    assert await code_of(stub.ConfigureCollection(configure, **key("writer"))) is denied


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code()


INVALID = {
    "header": [pb.UploadDocumentRequest(content=b"x")],
    "source_uri": [pb.UploadDocumentRequest(header=pb.UploadHeader(source_uri="a" * 2049))],
    "collection": [
        pb.UploadDocumentRequest(header=pb.UploadHeader(source_uri="a", collection="A B"))
    ],
    "sha256": [
        pb.UploadDocumentRequest(header=pb.UploadHeader(source_uri="a", sha256="0" * 64)),
        pb.UploadDocumentRequest(content=b"x"),
    ],
    "content": [
        pb.UploadDocumentRequest(header=pb.UploadHeader(source_uri="a")),
        *[pb.UploadDocumentRequest(content=b"x" * 60_000)] * 2,
    ],
}


@pytest.mark.parametrize("field", INVALID)
async def test_a_broken_rule_is_an_invalid_argument_that_names_the_field(
    stub: Any, field: str
) -> None:
    call = stub.UploadDocument(iter(INVALID[field]), **key())
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations_of(failed.value) == {field}


def violations_of(error: grpc.aio.AioRpcError) -> set[str]:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    request = error_details_pb2.BadRequest()
    status.details[0].Unpack(request)
    return {violation.field for violation in request.field_violations}


async def test_pages_and_counts_agree(stub: Any) -> None:
    for number in range(5):
        await until(stub, (await upload(stub, f"{number}", f"Text {number}.")).document, "CHUNKED")
    names, token = [], ""
    while True:
        request = pb.ListDocumentsRequest(page_size=2, page_token=token)
        page = await stub.ListDocuments(request, **key())
        assert page.total_size == 5
        names += [document.revision.document_id for document in page.documents]
        if not (token := page.next_page_token):
            break
    assert names == sorted(set(names))
    assert len(names) == 5
    profile = await stub.ProfileCollection(pb.ProfileCollectionRequest(), **key())
    assert (profile.document_count, profile.document_count_by_state) == (5, {"chunked": 5})
    assert profile.personal_data_policy == pb.PERSONAL_DATA_POLICY_MASK
    bad = stub.ListDocuments(pb.ListDocumentsRequest(page_token="?"), **key())
    assert await code_of(bad) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_policy_is_set_and_reprocessing_follows_it(stub: Any, jetstream: Any) -> None:
    document = (await upload(stub, "a", "Write to jane@example.org now.")).document
    assert (await until(stub, document, "CHUNKED")).personal_data_count == 1
    off = pb.PERSONAL_DATA_POLICY_OFF
    request = pb.ConfigureCollectionRequest(personal_data_policy=off)
    assert (await stub.ConfigureCollection(request, **key())).personal_data_policy == off
    again = await stub.ReprocessDocuments(pb.ReprocessDocumentsRequest(), **key())
    assert again.document_count == 1
    first, second = await heard(jetstream, DocumentChunked, 2)
    assert (first.attempt, second.attempt) == (1, 2)
    assert "<EMAIL_ADDRESS>" in first.chunks[0].text
    assert "jane@example.org" in second.chunks[0].text


async def test_a_folder_is_imported_document_by_document(stub: Any, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / "imports" / name).write_text(f"The text of {name}.")
    request = pb.ImportDocumentsRequest(folder=str(tmp_path / "imports"), collection="faq")
    done = [reply async for reply in stub.ImportDocuments(request, **key())]
    assert [reply.found_count for reply in done] == [1, 2]
    assert all(reply.document.revision.collection == "faq" for reply in done)
    outside = stub.ImportDocuments(pb.ImportDocumentsRequest(folder="/etc"), **key())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        [reply async for reply in outside]
    assert violations_of(refused.value) == {"source"}


PAGE = """# Tariffs

Write to jane.doe@example.org for a quote.

## Roaming

Roaming is free in the whole Union. Outside of it a minute costs one euro.
"""


async def test_a_page_goes_through_the_real_parser_redactor_and_tokenizer(
    jetstream: Any, settings: Settings, tokenizer_file: Path
) -> None:
    real = settings.model_copy(update={"tokenizer_file": tokenizer_file, "chunk_tokens": 256})
    async with running(jetstream, real) as service:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel:
            stub = IngestionServiceStub(channel)
            uploaded = await upload(stub, "docs/tariffs.md", PAGE)
            document = await until(stub, uploaded.document, "CHUNKED")
        [part] = await heard(jetstream, DocumentChunked, 1)
    texts = "\n".join(chunk.text for chunk in part.chunks)
    assert "<EMAIL_ADDRESS>" in texts
    assert "jane.doe" not in texts
    assert document.personal_data_count == 1
    assert (document.source.title, document.source.language) == ("Tariffs", "en")
    assert ["Tariffs", "Roaming"] in [list(chunk.heading_path) for chunk in part.chunks]


class FailingParser(PlainParser):
    """Cannot work until it is mended."""

    mended = False

    async def parse(self, content: bytes, name: str) -> ParsedDocument:
        if not self.mended:
            raise ConnectionError("away")
        return await super().parse(content, name)


async def test_a_document_that_fails_each_time_says_so_and_a_redrive_takes_it_up_again(
    jetstream: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "delay_after", lambda attempt: 0.01)
    parser = FailingParser()
    async with (
        running(jetstream, settings, **TWINS | {"parser": parser}) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.rpc.port}") as channel,
    ):
        stub = IngestionServiceStub(channel)
        uploaded = await upload(stub, "a", "text")
        refused = await until(stub, uploaded.document, "REJECTED")
        assert refused.rejection_reason == REJECTION_REASON_NOT_PROCESSED
        parser.mended = True
        await redrive(jetstream, 1)
        await until(stub, uploaded.document, "CHUNKED")


def test_the_readme_names_every_event_and_method() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    quiet = SimpleNamespace()
    from gyre_ingestion.handlers import listeners

    hears = listeners(quiet, quiet, workers=1, followers=1).subscriptions  # type: ignore[arg-type]
    methods = pb.DESCRIPTOR.services_by_name["IngestionService"].methods
    names = [one.event.DESCRIPTOR.name for one in hears] + [method.name for method in methods]
    assert [name for name in names if f"`{name}`" not in readme] == []
