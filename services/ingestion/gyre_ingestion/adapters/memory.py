"""The honest twins: documents and originals kept in memory, refusing what the real ones refuse."""

import asyncio
import copy
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import BinaryIO

from gyre_ingestion.adapters.bell import Bell
from gyre_ingestion.domain.documents import Content, Document, DocumentState
from gyre_ingestion.domain.facts import Fact
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import (
    Changed,
    Clock,
    ContentMissingError,
    Profile,
    Selection,
)

Key = tuple[str, str]
MOST_ALIKE = 200


@dataclass
class _State:
    documents: dict[Key, Changed] = field(default_factory=dict)
    policies: dict[Key, PersonalDataPolicy | None] = field(default_factory=dict)
    numbers: Counter[Key] = field(default_factory=Counter)
    fingerprints: dict[Key, tuple[bytes, frozenset[str]]] = field(default_factory=dict)
    near: set[tuple[str, str, str]] = field(default_factory=set)

    def fork(self) -> "_State":
        return _State(*(copy.copy(getattr(self, name)) for name in self.__dataclass_fields__))

    def near_of(self, tenant: str, document_id: str) -> set[str]:
        return {other for owner, one, other in self.near if (owner, one) == (tenant, document_id)}

    def shown(self, changed: Changed) -> Changed:
        document = changed.document
        near = self.near_of(document.tenant, document.document_id)
        return replace(changed, document=replace(document, near_duplicates=tuple(sorted(near))))


class MemoryDocumentChanges:
    """Works on a copy that takes the place of the state when the transaction ends."""

    def __init__(self, state: _State, tenant: str, collection: str) -> None:
        self.state = state
        self.facts: list[Fact] = []
        self._tenant = tenant
        self._collection = collection
        state.numbers[tenant, collection] += 1
        self.number = state.numbers[tenant, collection]
        self.policy = state.policies.get((tenant, collection))

    async def get(self, document_id: str) -> Document | None:
        return next((one for one in self._all() if one.document_id == document_id), None)

    async def save(self, document: Document) -> None:
        if (document.tenant, document.collection) != (self._tenant, self._collection):
            raise ValueError("a transaction changes documents of its own collection only")
        key = (self._tenant, document.document_id)
        self.state.documents[key] = Changed(self.number, document)

    async def holder(self, text_hash: str) -> str | None:
        holders = (one for one in self._all() if one.held and one.held.text_hash == text_hash)
        return next((one.document_id for one in holders), None)

    async def first_copy_of(self, document_id: str) -> Document | None:
        return next((one for one in self._all() if one.duplicate_of == document_id), None)

    async def leaving_for(self, document_id: str) -> list[Document]:
        return [one for one in self._all() if one.successor == document_id]

    async def redirect_copies(self, document_id: str, heir_id: str) -> None:
        for one in self._all():
            if one.progress.rejection and one.duplicate_of == document_id:
                rejection = replace(one.progress.rejection, duplicate_of=heir_id)
                await self.save(replace(one, progress=replace(one.progress, rejection=rejection)))

    async def set_fingerprint(
        self, document_id: str, signature: bytes, keys: Sequence[str]
    ) -> None:
        self.state.fingerprints.pop((self._tenant, document_id), None)
        if signature:
            self.state.fingerprints[self._tenant, document_id] = (signature, frozenset(keys))

    async def alike(self, document_id: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        mine = {one.document_id for one in self._all()} - {document_id}
        wanted = frozenset(keys)
        found = {
            name: signature
            for (tenant, name), (signature, known) in sorted(self.state.fingerprints.items())
            if tenant == self._tenant and name in mine and known & wanted
        }
        return dict(list(found.items())[:MOST_ALIKE])

    async def mark_near_duplicates(self, document_id: str, others: Collection[str]) -> None:
        former = self.state.near_of(self._tenant, document_id)
        pairs = {(self._tenant, document_id, other) for other in others}
        mirrored = {(tenant, other, one) for tenant, one, other in pairs}
        kept = {pair for pair in self.state.near if not self._names(pair, document_id)}
        self.state.near = kept | pairs | mirrored
        for name in former ^ set(others) | {document_id}:
            if (document := await self.get(name)) is not None:
                await self.save(document)

    async def configure(self, policy: PersonalDataPolicy | None) -> None:
        self.policy = policy
        self.state.policies[self._tenant, self._collection] = policy

    def say(self, fact: Fact) -> None:
        self.facts.append(fact)

    def _all(self) -> list[Document]:
        ours = (self._tenant, self._collection)
        return [
            self.state.shown(changed).document
            for _, changed in sorted(self.state.documents.items(), key=lambda item: item[0])
            if (changed.document.tenant, changed.document.collection) == ours
        ]

    def _names(self, pair: tuple[str, str, str], document_id: str) -> bool:
        return pair[0] == self._tenant and document_id in pair[1:]


class MemoryDocuments:
    """One writer at a time, as SQLite; `said` is what the outbox would hold, in order."""

    def __init__(self) -> None:
        self.said: list[Fact] = []
        self._state = _State()
        self._writer = asyncio.Lock()
        self._bell = Bell()

    @asynccontextmanager
    async def changing(self, tenant: str, collection: str) -> AsyncIterator[MemoryDocumentChanges]:
        async with self._writer:
            changes = MemoryDocumentChanges(self._state.fork(), tenant, collection)
            yield changes
            self._state = changes.state
            self.said.extend(changes.facts)
        self._bell.ring(tenant, collection, changes.number)

    async def get(self, tenant: str, document_id: str) -> Document | None:
        changed = self._state.documents.get((tenant, document_id))
        return self._state.shown(changed).document if changed else None

    async def list(
        self, tenant: str, selection: Selection, after: str, limit: int
    ) -> Sequence[Document]:
        found = self._selected(tenant, selection)
        return [document for document in found if document.document_id > after][:limit]

    async def count(self, tenant: str, selection: Selection) -> int:
        return len(self._selected(tenant, selection))

    async def holder_of_bytes(self, tenant: str, collection: str, sha256: str) -> str | None:
        mine = (changed.document for changed in self._changed(tenant, Selection(collection)))
        holders = (one.document_id for one in mine if one.held and one.held.sha256 == sha256)
        return min(holders, default=None)

    async def profile(self, tenant: str, collection: str) -> Profile:
        mine = self._selected(tenant, Selection(collection))
        typed = [one for one in mine if one.media_type]
        reasons = [one.progress.rejection.reason for one in mine if one.progress.rejection]
        return Profile(
            documents=len(mine),
            chunks=sum(one.progress.chunk_count for one in mine),
            size_bytes=sum(one.content.size_bytes for one in mine),
            by_state=Counter(one.state.value for one in mine),
            by_media_type=Counter(one.media_type for one in typed),
            by_language=Counter(one.language or "und" for one in typed),
            by_reason=Counter(reason.value for reason in reasons),
            with_near_duplicates=sum(bool(one.near_duplicates) for one in mine),
            policy=await self.policy(tenant, collection),
        )

    async def policy(self, tenant: str, collection: str) -> PersonalDataPolicy | None:
        return self._state.policies.get((tenant, collection))

    async def changes_after(
        self, tenant: str, selection: Selection, after: tuple[int, str], limit: int
    ) -> Sequence[Changed]:
        found = sorted(self._changed(tenant, selection), key=_place)
        return [changed for changed in found if _place(changed) > after][:limit]

    async def last_change(self, tenant: str, collection: str) -> int:
        return self._state.numbers[tenant, collection]

    async def await_change(self, tenant: str, collection: str, after: int, patience: float) -> None:
        await self._bell.wait(tenant, collection, after, patience)

    async def leaving_since(self, moment: datetime) -> Sequence[Document]:
        all_of_them = (changed.document for changed in self._state.documents.values())
        return [one for one in all_of_them if one.successor and one.update_time < moment]

    async def unused(self, tenant: str, hashes: Collection[str]) -> set[str]:
        documents = (changed.document for changed in self._state.documents.values())
        living = (one for one in documents if one.tenant == tenant and not one.deleted)
        return set(hashes) - {one.content.sha256 for one in living}

    def _changed(self, tenant: str, selection: Selection) -> Sequence[Changed]:
        mine = (
            self._state.shown(changed)
            for changed in self._state.documents.values()
            if (changed.document.tenant, changed.document.collection)
            == (tenant, selection.collection)
        )
        names = selection.document_ids
        return [one for one in mine if not names or one.document.document_id in names]

    def _selected(self, tenant: str, selection: Selection) -> Sequence[Document]:
        documents = (changed.document for changed in self._changed(tenant, selection))
        wanted = [one for one in documents if _is_wanted(one, selection.state)]
        return sorted(wanted, key=lambda one: one.document_id)


def _place(changed: Changed) -> tuple[int, str]:
    return changed.number, changed.document.document_id


def _is_wanted(document: Document, state: DocumentState | None) -> bool:
    return document.state is state if state else not document.deleted


class MemoryContentStore:
    """Originals in a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[Key, tuple[bytes, datetime]] = {}

    async def put(self, tenant: str, sha256: str, body: BinaryIO, size_bytes: int) -> Content:
        data = body.read()
        if (hashlib.sha256(data).hexdigest(), len(data)) != (sha256, size_bytes):
            raise ValueError("the bytes are not those that were promised")
        self._objects[tenant, sha256] = (data, self._clock())
        return Content(f"memory://{tenant}/{sha256}", sha256, size_bytes)

    async def get(self, content: Content) -> bytes:
        tenant, _, sha256 = content.uri.removeprefix("memory://").partition("/")
        if (tenant, sha256) not in self._objects:
            raise ContentMissingError(f"{content.uri} is not there")
        return self._objects[tenant, sha256][0]

    async def names(self) -> AsyncIterator[Key]:
        for name in list(self._objects):
            yield name

    async def remove_unless_fresh(self, tenant: str, sha256: str, moment: datetime) -> bool:
        known = self._objects.get((tenant, sha256))
        if known is None or known[1] > moment:
            return False
        del self._objects[tenant, sha256]
        return True

    async def remove_fragments(self, moment: datetime) -> int:
        return 0  # a put to memory cannot be killed half-way
