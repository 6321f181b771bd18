"""The gRPC door: who asks is known from the credential, never from a field."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

import grpc
from gyre.ingestion.v1 import service_pb2 as pb
from gyre.ingestion.v1 import service_pb2_grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.domain.rules import RuleError, collection_name
from gyre_ingestion.ports import (
    ContentsUnavailableError,
    Importer,
    ImportRefusedError,
    Selection,
)
from gyre_ingestion.use_cases.browse import Browse, MissingDocumentError
from gyre_ingestion.use_cases.importing import Import
from gyre_ingestion.use_cases.manage import Manage
from gyre_ingestion.use_cases.upload import Header, Upload
from gyre_ingestion.use_cases.watch import Watch, WatchEndedError
from gyre_ingestion.wire import document_message, policy_message, policy_of, state_of

_READER, _WRITER, _OPERATOR = map(frozenset, ({"reader"}, {"writer"}, {"operator"}))
ROLES: Mapping[str, frozenset[str]] = {
    "UploadDocument": _WRITER,
    "ImportDocuments": _WRITER,
    "DeleteDocument": _WRITER,
    "GetDocument": _READER,
    "ListDocuments": _READER,
    "WatchDocuments": _READER,
    "ProfileCollection": _READER,
    "ReprocessDocuments": _OPERATOR,
    "ConfigureCollection": _OPERATOR,
}

_MAX_PIECE = 1024 * 1024
_MAX_IDS = 1000


@dataclass(frozen=True)
class Doors:
    """The stories that the service tells; `importers` by the name of the request's source."""

    upload: Upload
    imports: Import
    browse: Browse
    watch: Watch
    manage: Manage
    importers: Mapping[str, Importer]


class IngestionService(service_pb2_grpc.IngestionServiceServicer):
    """Answers gyre.ingestion.v1.IngestionService."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def UploadDocument(
        self, requests: AsyncIterator[pb.UploadDocumentRequest], context: object
    ) -> pb.UploadDocumentResponse:
        with _faults():
            header = await _header(requests)
            uploaded = await self._doors.upload.upload(_tenant(), header, _pieces(requests))
        return pb.UploadDocumentResponse(
            document=document_message(uploaded.document), created_revision=uploaded.created_revision
        )

    async def ImportDocuments(
        self, request: pb.ImportDocumentsRequest, context: object
    ) -> AsyncIterator[pb.ImportDocumentsResponse]:
        with _faults():
            kind, place = _place(request)
            run = self._doors.imports.run(
                _tenant(),
                request.collection,
                dict(request.metadata),
                self._doors.importers[kind],
                place,
            )
            async with aclosing(run):
                async for one in run:
                    document = document_message(one.document) if one.document else None
                    yield pb.ImportDocumentsResponse(
                        source_uri=one.source_uri,
                        document=document,
                        error=one.error,
                        found_count=one.found_count,
                    )

    async def GetDocument(
        self, request: pb.GetDocumentRequest, context: object
    ) -> pb.GetDocumentResponse:
        with _faults():
            document = await self._doors.browse.get(_tenant(), request.document_id)
        return pb.GetDocumentResponse(document=document_message(document))

    async def ListDocuments(
        self, request: pb.ListDocumentsRequest, context: object
    ) -> pb.ListDocumentsResponse:
        with _faults():
            page = await self._doors.browse.list(
                _tenant(),
                _selection(request.collection, (), request.state),
                request.page_size,
                request.page_token,
            )
        return pb.ListDocumentsResponse(
            documents=map(document_message, page.documents),
            next_page_token=page.next_token,
            total_size=page.total,
        )

    async def WatchDocuments(
        self, request: pb.WatchDocumentsRequest, context: object
    ) -> AsyncIterator[pb.WatchDocumentsResponse]:
        with _faults():
            selection = _selection(request.collection, request.document_ids)
            async with aclosing(self._doors.watch.watch(_tenant(), selection)) as documents:
                async for document in documents:
                    yield pb.WatchDocumentsResponse(document=document_message(document))

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, context: object
    ) -> pb.DeleteDocumentResponse:
        with _faults():
            document = await self._doors.manage.delete(_tenant(), request.document_id)
        return pb.DeleteDocumentResponse(document=document_message(document))

    async def ReprocessDocuments(
        self, request: pb.ReprocessDocumentsRequest, context: object
    ) -> pb.ReprocessDocumentsResponse:
        with _faults():
            selection = _selection(request.collection, request.document_ids, request.state)
            count = await self._doors.manage.reprocess(_tenant(), selection)
        return pb.ReprocessDocumentsResponse(document_count=count)

    async def ConfigureCollection(
        self, request: pb.ConfigureCollectionRequest, context: object
    ) -> pb.ConfigureCollectionResponse:
        with _faults():
            policy = await self._doors.manage.configure(
                _tenant(), collection_name(request.collection), _policy(request)
            )
        return pb.ConfigureCollectionResponse(personal_data_policy=policy_message(policy))

    async def ProfileCollection(
        self, request: pb.ProfileCollectionRequest, context: object
    ) -> pb.ProfileCollectionResponse:
        with _faults():
            collection = collection_name(request.collection)
            profile = await self._doors.browse.profile(_tenant(), collection)
        return pb.ProfileCollectionResponse(
            document_count=profile.documents,
            chunk_count=profile.chunks,
            size_bytes=profile.size_bytes,
            document_count_by_state=profile.by_state,
            document_count_by_media_type=profile.by_media_type,
            document_count_by_language=profile.by_language,
            rejected_count_by_reason=profile.by_reason,
            near_duplicate_count=profile.with_near_duplicates,
            personal_data_policy=policy_message(profile.policy),
        )


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except RuleError as error:
        raise _invalid(error.violations) from error
    except ImportRefusedError as error:
        raise _invalid({"source": str(error)}) from error
    except MissingDocumentError as error:
        raise RpcFault(grpc.StatusCode.NOT_FOUND, str(error)) from error
    except WatchEndedError as error:
        stopping = "the service is stopping: watch again"
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, stopping, retry_after=1.0) from error
    except ContentsUnavailableError as error:
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=1.0) from error


def _invalid(violations: Mapping[str, str]) -> RpcFault:
    text = "; ".join(f"{field} {what}" for field, what in violations.items())
    return RpcFault(grpc.StatusCode.INVALID_ARGUMENT, text, violations=violations)


def _tenant() -> str:
    return current_principal().tenant


async def _header(requests: AsyncIterator[pb.UploadDocumentRequest]) -> Header:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "header":
        raise RuleError({"header": "must be the first message"})
    given = first.header
    return Header(given.collection, given.source_uri, dict(given.metadata), given.sha256)


async def _pieces(requests: AsyncIterator[pb.UploadDocumentRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "content":
            raise RuleError({"content": "must follow the header in every further message"})
        if len(request.content) > _MAX_PIECE:
            raise RuleError({"content": f"must come in pieces of at most {_MAX_PIECE} bytes"})
        yield request.content


def _place(request: pb.ImportDocumentsRequest) -> tuple[str, Sequence[str]]:
    kind = request.WhichOneof("source")
    if kind is None:
        raise RuleError({"source": "is required: a folder, urls or a bucket"})
    places: Mapping[str, Sequence[str]] = {
        "folder": [request.folder],
        "urls": list(request.urls.urls),
        "bucket": [request.bucket.bucket, request.bucket.prefix],
    }
    return kind, places[kind]


def _selection(
    collection: str, document_ids: Sequence[str], state: pb.DocumentState.ValueType | None = None
) -> Selection:
    if len(document_ids) > _MAX_IDS:
        raise RuleError({"document_ids": f"must be at most {_MAX_IDS}"})
    try:
        wanted = state_of(state) if state else None
    except ValueError:
        raise RuleError({"state": "is not a state that this service knows"}) from None
    return Selection(collection_name(collection), tuple(document_ids), wanted)


def _policy(request: pb.ConfigureCollectionRequest) -> PersonalDataPolicy | None:
    try:
        return policy_of(request.personal_data_policy)
    except ValueError:
        known = "must be OFF, MASK or PSEUDONYMISE; UNSPECIFIED goes back to the default"
        raise RuleError({"personal_data_policy": known}) from None
