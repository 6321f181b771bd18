"""The composition root: adapters, stories, and the two doors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gyre.ingestion.v1 import service_pb2
from gyre.ingestion.v1.service_pb2_grpc import add_IngestionServiceServicer_to_server
from gyre_runtime.bus import Bus
from gyre_runtime.database import Database
from gyre_runtime.process import Service
from gyre_runtime.rpc import RpcServer
from gyre_runtime.telemetry import logger
from obstore.store import S3Store

from gyre_ingestion.adapters.addresses import Gate
from gyre_ingestion.adapters.buckets import BucketImporter
from gyre_ingestion.adapters.documents import DatabaseDocuments
from gyre_ingestion.adapters.folders import FolderImporter
from gyre_ingestion.adapters.jetstream import JetStreamContentStore
from gyre_ingestion.adapters.parsing.parser import SubprocessParser
from gyre_ingestion.adapters.redaction.redactor import PresidioRedactor
from gyre_ingestion.adapters.s3 import S3ContentStore
from gyre_ingestion.adapters.tables import MIGRATIONS, metadata
from gyre_ingestion.adapters.tokenizers import FileTokenizer
from gyre_ingestion.adapters.urls import UrlImporter
from gyre_ingestion.domain.chunking import Tokenizer
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.handlers import listeners
from gyre_ingestion.ports import ContentStore, Documents, Importer, Parser, Redactor
from gyre_ingestion.rpc import ROLES, Doors, IngestionService
from gyre_ingestion.settings import Settings
from gyre_ingestion.use_cases.browse import Browse
from gyre_ingestion.use_cases.follow import Follow
from gyre_ingestion.use_cases.importing import Import
from gyre_ingestion.use_cases.manage import Manage
from gyre_ingestion.use_cases.process import Cutting, Process
from gyre_ingestion.use_cases.succession import Departures
from gyre_ingestion.use_cases.sweep import Sweep
from gyre_ingestion.use_cases.upload import Upload
from gyre_ingestion.use_cases.watch import Watch

if TYPE_CHECKING:
    from obstore.store import S3Config  # there is no such name at run time

_log = logger("gyre.ingestion")
Background = Callable[[], Coroutine[Any, Any, None]]


def build(
    settings: Settings,
    *,
    bus: Bus | None = None,
    database: Database | None = None,
    contents: ContentStore | None = None,
    parser: Parser | None = None,
    redactor: Redactor | None = None,
    tokenizer: Tokenizer | None = None,
) -> Service:
    """The service, ready to run; what is given replaces the real thing. A bus that is given was
    made with the database that is given."""
    database = database or Database(str(settings.database_url), metadata, migrations=MIGRATIONS)
    bus = bus or Bus(settings, "ingestion", database=database)
    contents = contents or _contents(settings, bus)
    parser, redactor = parser or _parser(settings), redactor or _redactor(settings)
    tokenizer = tokenizer or FileTokenizer(settings.tokenizer_file)
    documents = DatabaseDocuments(database)
    how = _cutting(settings)
    process = Process(documents, contents, parser, redactor, tokenizer, _now, how)
    workers, followers = settings.worker_concurrency, settings.follow_concurrency
    follow = Follow(documents, _now)
    bus.include(listeners(process, follow, workers=workers, followers=followers))
    doors = _doors(settings, documents, contents)
    return Service(
        settings,
        "ingestion",
        bus=bus,
        rpc=_rpc(settings, doors),
        database=database,
        background=_background(settings, documents, contents, doors.watch),
        resources=[_closing(parser), _closing(redactor)],
    )


def _doors(settings: Settings, documents: Documents, contents: ContentStore) -> Doors:
    upload = Upload(
        documents,
        contents,
        _now,
        max_bytes=settings.max_document_bytes,
        default_policy=settings.personal_data_policy,
    )
    return Doors(
        upload=upload,
        imports=Import(upload),
        browse=Browse(documents, settings.personal_data_policy),
        watch=Watch(documents, settings.watch_poll_seconds),
        manage=Manage(documents, _now, settings.personal_data_policy, _policies(settings)),
        importers=_importers(settings),
    )


def _rpc(settings: Settings, doors: Doors) -> RpcServer:
    rpc = RpcServer(settings, service="ingestion")
    rpc.add(
        add_IngestionServiceServicer_to_server,
        IngestionService(doors),
        service_pb2.DESCRIPTOR.services_by_name["IngestionService"],
        roles=ROLES,
    )
    return rpc


def _parser(settings: Settings) -> Parser:
    limits = Limits(file_bytes=settings.max_document_bytes)
    return SubprocessParser(limits, settings.parser_processes)


def _redactor(settings: Settings) -> Redactor:
    return PresidioRedactor(
        settings.secret_of_pseudonyms or b"",
        settings.personal_data_regions,
        settings.personal_data_name_models,
    )


def _policies(settings: Settings) -> frozenset[PersonalDataPolicy]:
    if settings.secret_of_pseudonyms is None:
        return frozenset(PersonalDataPolicy) - {PersonalDataPolicy.PSEUDONYMISE}
    return frozenset(PersonalDataPolicy)


def _importers(settings: Settings) -> dict[str, Importer]:
    limit = settings.max_document_bytes
    gate = Gate(settings.import_hosts, settings.import_private_addresses)
    return {
        "folder": FolderImporter(settings.import_roots, limit),
        "urls": UrlImporter(gate, limit, settings.import_timeout),
        "bucket": BucketImporter(
            settings.import_buckets, lambda bucket: _bucket(settings, bucket), limit
        ),
    }


def _contents(settings: Settings, bus: Bus) -> ContentStore:
    name = settings.content_bucket
    if settings.content_store == "s3":
        return S3ContentStore(_bucket(settings, name), name)
    return JetStreamContentStore(lambda: bus.jetstream, name, settings.content_timeout)


def _bucket(settings: Settings, name: str) -> S3Store:
    config: S3Config = {"region": settings.s3_region}
    if settings.s3_endpoint:
        config["endpoint"] = settings.s3_endpoint
    if settings.s3_access_key and settings.s3_secret_key:
        config["access_key_id"] = settings.s3_access_key
        config["secret_access_key"] = settings.s3_secret_key.get_secret_value()
    plain = (settings.s3_endpoint or "").startswith("http://")
    return S3Store(name, config=config, client_options={"allow_http": plain})


def _cutting(settings: Settings) -> Cutting:
    return Cutting(
        settings.chunk_tokens,
        settings.chunk_overlap,
        settings.part_chunks,
        settings.near_duplicate_threshold,
    )


def _background(
    settings: Settings, documents: Documents, contents: ContentStore, watch: Watch
) -> list[Background]:
    patience = settings.succession_patience
    sweep = Sweep(documents, contents, _now, timedelta(seconds=settings.sweep_grace))
    departures = Departures(documents, _now, timedelta(seconds=patience))
    return [
        _repeating("sweep", sweep.run, settings.sweep_interval),
        _repeating("departures", departures.run, max(patience / 4, 1.0)),
        _watching(watch),
    ]


def _repeating(name: str, run: Callable[[], Awaitable[int]], interval: float) -> Background:
    async def repeating() -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                done = await run()
            except Exception as error:  # the store is away: the next pass finds the same
                _log.warning(f"{name}_failed", error=repr(error))
            else:
                _log.log(logging.INFO if done else logging.DEBUG, name, done=done)

    return repeating


def _watching(watch: Watch) -> Background:
    """Background tasks end before the doors close: no watcher holds up the drain."""

    async def watching() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            watch.end()

    return watching


@asynccontextmanager
async def _closing(helper: Parser | Redactor) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await helper.close()


def _now() -> datetime:
    return datetime.now(UTC)
