"""Takes a document in: store the bytes, then the fact."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from gyre_ingestion.domain.documents import Document, document_id_of
from gyre_ingestion.domain.facts import Received
from gyre_ingestion.domain.lifecycle import Arrival, receive
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.domain.rules import RuleError, check_header, collection_name
from gyre_ingestion.ports import Clock, ContentStore, Documents
from gyre_ingestion.use_cases.succession import record

_IN_MEMORY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Header:
    """What the uploader says about a document; `sha256` is checked when it is given."""

    collection: str
    source_uri: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True)
class Uploaded:
    """The document as it stands, and whether these bytes made a new revision of it."""

    document: Document
    created_revision: bool


class Upload:
    """Accepts documents. What it returned is on disk, with the event that tells of it."""

    def __init__(
        self,
        documents: Documents,
        contents: ContentStore,
        clock: Clock,
        *,
        max_bytes: int,
        default_policy: PersonalDataPolicy,
    ) -> None:
        self._documents = documents
        self._contents = contents
        self._clock = clock
        self._max_bytes = max_bytes
        self._default_policy = default_policy

    async def upload(self, tenant: str, header: Header, body: AsyncIterator[bytes]) -> Uploaded:
        """Stores one document. Raises `RuleError`; the same bytes again change nothing."""
        collection = collection_name(header.collection)
        check_header(header.source_uri, header.metadata, header.sha256)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as spool:
            file = cast(BinaryIO, spool)
            sha256, size = await self._spool(file, body, header.sha256)
            name = document_id_of(tenant, collection, header.source_uri)
            known = await self._documents.get(tenant, name)
            if known and _is_newest(known, sha256):
                return Uploaded(known, created_revision=False)
            file.seek(0)
            content = await self._contents.put(tenant, sha256, file, size)
        arrival = Arrival(tenant, collection, header.source_uri, header.metadata, content)
        return await self._record(arrival)

    async def _spool(
        self, file: BinaryIO, body: AsyncIterator[bytes], promised: str
    ) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        async for piece in body:
            size += len(piece)
            if size > self._max_bytes:
                raise RuleError({"content": f"is larger than the {self._max_bytes} bytes allowed"})
            digest.update(piece)
            file.write(piece)
        sha256 = digest.hexdigest()
        if promised not in ("", sha256):
            raise RuleError({"sha256": "does not match the bytes that arrived; upload them again"})
        return sha256, size

    async def _record(self, arrival: Arrival) -> Uploaded:
        now = self._clock()
        name = document_id_of(arrival.tenant, arrival.collection, arrival.source_uri)
        async with self._documents.changing(arrival.tenant, arrival.collection) as changes:
            before = await changes.get(name)
            if before and _is_newest(before, arrival.content.sha256):
                return Uploaded(before, created_revision=False)
            after = receive(before, arrival, changes.policy or self._default_policy, now)
            await record(changes, before, after, now)
            changes.say(Received(after))
        return Uploaded(after, created_revision=True)


def _is_newest(document: Document, sha256: str) -> bool:
    return document.content.sha256 == sha256 and not document.deleted
