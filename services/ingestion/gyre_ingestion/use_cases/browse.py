"""Looks at documents."""

import base64
import binascii
import uuid
from dataclasses import dataclass, replace

from gyre_ingestion.domain.documents import Document
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.domain.rules import RuleError
from gyre_ingestion.ports import Documents, Profile, Selection

DEFAULT_PAGE, MAX_PAGE = 100, 1000


class MissingDocumentError(Exception):
    """The tenant has no document of this id."""

    def __init__(self, document_id: str) -> None:
        super().__init__("there is no document of this id; list the collection to see what is")
        self.document_id = document_id


@dataclass(frozen=True)
class Page:
    """Some documents, where the next page begins (empty at the end), and how many match in all."""

    documents: tuple[Document, ...]
    next_token: str
    total: int


@dataclass(frozen=True)
class Browse:
    """Reads what is known."""

    documents: Documents
    default_policy: PersonalDataPolicy

    async def get(self, tenant: str, document_id: str) -> Document:
        """One document; raises `MissingDocumentError`."""
        document = await self.documents.get(tenant, document_id)
        if document is None:
            raise MissingDocumentError(document_id)
        return document

    async def list(self, tenant: str, selection: Selection, size: int, token: str) -> Page:
        """One page, by id; `size` 0 means 100. Raises `RuleError`."""
        if not 0 <= size <= MAX_PAGE:
            raise RuleError({"page_size": f"must be 0 to {MAX_PAGE}"})
        limit = size or DEFAULT_PAGE
        found = await self.documents.list(tenant, selection, _position(token), limit + 1)
        page = tuple(found[:limit])
        next_token = _token(page[-1].document_id) if len(found) > limit else ""
        return Page(page, next_token, await self.documents.count(tenant, selection))

    async def profile(self, tenant: str, collection: str) -> Profile:
        """Counts of a collection and the policy in force."""
        profile = await self.documents.profile(tenant, collection)
        return replace(profile, policy=profile.policy or self.default_policy)


def _token(document_id: str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(document_id).bytes).decode().rstrip("=")


def _position(token: str) -> str:
    if not token:
        return ""
    try:
        return str(uuid.UUID(bytes=base64.urlsafe_b64decode(token + "==")))
    except (ValueError, binascii.Error):
        raise RuleError(
            {"page_token": "is none that this service gave; begin without one"}
        ) from None
