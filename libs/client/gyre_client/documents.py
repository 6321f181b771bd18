"""Documents: upload, import, look at, watch, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gyre.ingestion.v1 import service_pb2
from gyre.ingestion.v1.service_pb2_grpc import IngestionServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import raising
from gyre_client.models import Document, DocumentState
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.ingestion.v1.service_pb2_grpc import IngestionServiceAsyncStub

PIECE = 256 << 10
UPLOAD_TIMEOUT = 300.0


@dataclass(frozen=True)
class Uploaded:
    """An accepted document. created_revision: False when these bytes were there already."""

    document: Document
    created_revision: bool


@dataclass(frozen=True)
class Imported:
    """One document of an import: the document, or why it was not accepted."""

    source_uri: str
    document: Document | None
    error: str


class Documents:
    """The caller's documents. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.ingestion_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: IngestionServiceAsyncStub = IngestionServiceStub(channels.to(self._address))

    async def upload(
        self,
        content: bytes,
        *,
        source_uri: str,
        collection: str = "default",
        metadata: Mapping[str, str] | None = None,
    ) -> Uploaded:
        """Stores one document; it is durable when this returns, and searchable soon after.

        source_uri is its lasting name: uploading it again makes a new revision.
        """
        header = service_pb2.UploadHeader(
            collection=collection, source_uri=source_uri, metadata=metadata or {}
        )
        with raising(self._address):
            reply = await self._stub.UploadDocument(
                _pieces(header, content), metadata=self._metadata, timeout=UPLOAD_TIMEOUT
            )
        return Uploaded(Document.read(reply.document), reply.created_revision)

    async def import_urls(
        self, urls: Sequence[str], *, collection: str = "default"
    ) -> AsyncIterator[Imported]:
        """Lets the service fetch pages from hosts that it allows."""
        request = service_pb2.ImportDocumentsRequest(
            collection=collection, urls=service_pb2.UrlList(urls=urls)
        )
        async for one in self._import(request):
            yield one

    async def import_folder(
        self, folder: str, *, collection: str = "default"
    ) -> AsyncIterator[Imported]:
        """Lets the service read a folder of its own machine, below a root that it allows."""
        request = service_pb2.ImportDocumentsRequest(collection=collection, folder=folder)
        async for one in self._import(request):
            yield one

    async def import_bucket(
        self, bucket: str, prefix: str = "", *, collection: str = "default"
    ) -> AsyncIterator[Imported]:
        """Lets the service read a bucket by the S3 protocol."""
        place = service_pb2.BucketPrefix(bucket=bucket, prefix=prefix)
        request = service_pb2.ImportDocumentsRequest(collection=collection, bucket=place)
        async for one in self._import(request):
            yield one

    async def get(self, document_id: str) -> Document:
        """One document; NotFoundError when there is none of that id."""
        request = service_pb2.GetDocumentRequest(document_id=document_id)
        with raising(self._address):
            reply = await self._stub.GetDocument(
                request, metadata=self._metadata, timeout=self._timeout
            )
        return Document.read(reply.document)

    async def list(
        self, *, collection: str = "default", state: DocumentState | None = None
    ) -> AsyncIterator[Document]:
        """All documents of a collection by id; pages are fetched as they are needed."""
        wanted = f"DOCUMENT_STATE_{(state or 'unspecified').upper()}"
        request = service_pb2.ListDocumentsRequest(
            collection=collection, state=service_pb2.DocumentState.Value(wanted), page_size=500
        )
        while True:
            with raising(self._address):
                reply = await self._stub.ListDocuments(
                    request, metadata=self._metadata, timeout=self._timeout
                )
            for message in reply.documents:
                yield Document.read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def watch(
        self, *, collection: str = "default", document_ids: Iterable[str] = ()
    ) -> AsyncIterator[Document]:
        """The present states, then every change, until the caller stops."""
        request = service_pb2.WatchDocumentsRequest(
            collection=collection, document_ids=document_ids
        )
        with raising(self._address):
            call = self._stub.WatchDocuments(request, metadata=self._metadata)
            try:
                async for reply in call:
                    yield Document.read(reply.document)
            finally:
                call.cancel()

    async def delete(self, document_id: str) -> Document:
        """Deletes a document everywhere; the deletion is durable when this returns."""
        request = service_pb2.DeleteDocumentRequest(document_id=document_id)
        with raising(self._address):
            reply = await self._stub.DeleteDocument(
                request, metadata=self._metadata, timeout=self._timeout
            )
        return Document.read(reply.document)

    async def _import(self, request: service_pb2.ImportDocumentsRequest) -> AsyncIterator[Imported]:
        with raising(self._address):
            call = self._stub.ImportDocuments(request, metadata=self._metadata)
            try:
                async for one in call:
                    found = Document.read(one.document) if one.HasField("document") else None
                    yield Imported(one.source_uri, found, one.error)
            finally:
                call.cancel()


async def _pieces(
    header: service_pb2.UploadHeader, content: bytes
) -> AsyncIterator[service_pb2.UploadDocumentRequest]:
    yield service_pb2.UploadDocumentRequest(header=header)
    for start in range(0, len(content), PIECE):
        yield service_pb2.UploadDocumentRequest(content=content[start : start + PIECE])
