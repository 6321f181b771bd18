"""Fetches many documents from where they are."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from gyre_ingestion.domain.documents import Document
from gyre_ingestion.domain.rules import RuleError, collection_name, metadata_violations
from gyre_ingestion.ports import Found, Importer
from gyre_ingestion.use_cases.upload import Header, Upload


@dataclass(frozen=True)
class Imported:
    """One document of an import: what became of it, or why nothing did."""

    source_uri: str
    document: Document | None
    error: str
    found_count: int


@dataclass(frozen=True)
class Import:
    """Uploads what an importer finds, one after the other."""

    upload: Upload

    async def run(
        self,
        tenant: str,
        collection: str,
        metadata: Mapping[str, str],
        importer: Importer,
        place: Sequence[str],
    ) -> AsyncGenerator[Imported, None]:
        """Each document as it goes. Raises `RuleError`, `ImportRefusedError` before the first."""
        name = collection_name(collection)
        if violations := metadata_violations(metadata):
            raise RuleError(violations)
        count = 0
        async for found in importer.fetch(place):
            count += 1
            yield await self._take(tenant, Header(name, found.source_uri, metadata), found, count)

    async def _take(self, tenant: str, header: Header, found: Found, count: int) -> Imported:
        if found.error:
            return Imported(found.source_uri, None, found.error, count)
        try:
            uploaded = await self.upload.upload(tenant, header, _once(found.content))
        except RuleError as invalid:
            return Imported(found.source_uri, None, str(invalid), count)
        return Imported(found.source_uri, uploaded.document, "", count)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
