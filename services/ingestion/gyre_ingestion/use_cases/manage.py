"""What an operator does with documents that are there: delete, reprocess, configure."""

from dataclasses import dataclass

from gyre_ingestion.domain.documents import Document
from gyre_ingestion.domain.facts import Received
from gyre_ingestion.domain.lifecycle import delete, reprocess
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.domain.rules import RuleError
from gyre_ingestion.ports import Clock, DocumentChanges, Documents, Selection
from gyre_ingestion.use_cases.browse import MissingDocumentError
from gyre_ingestion.use_cases.succession import record

_BATCH = 200


@dataclass(frozen=True)
class Manage:
    """Changes documents that were accepted before."""

    documents: Documents
    clock: Clock
    default_policy: PersonalDataPolicy
    policies: frozenset[PersonalDataPolicy] = frozenset(PersonalDataPolicy)

    async def delete(self, tenant: str, document_id: str) -> Document:
        """Deletes it everywhere; doing it again changes nothing. Raises `MissingDocumentError`."""
        known = await self.documents.get(tenant, document_id)
        if known is None:
            raise MissingDocumentError(document_id)
        async with self.documents.changing(tenant, known.collection) as changes:
            before = await changes.get(document_id) or known
            if not before.deleted:
                return await self._delete(changes, before)
        return before

    async def _delete(self, changes: DocumentChanges, before: Document) -> Document:
        now = self.clock()
        after = delete(before, now)
        await changes.set_fingerprint(after.document_id, b"", ())
        await changes.mark_near_duplicates(after.document_id, ())
        await record(changes, before, after, now)
        return after

    async def reprocess(self, tenant: str, selection: Selection) -> int:
        """Parses and cuts stored originals again; how many. Done in batches, each durable."""
        count, after = 0, ""
        while batch := await self.documents.list(tenant, selection, after, _BATCH):
            async with self.documents.changing(tenant, selection.collection) as changes:
                for document in batch:
                    count += await self._reprocess(changes, document.document_id)
            after = batch[-1].document_id
        return count

    async def _reprocess(self, changes: DocumentChanges, document_id: str) -> bool:
        before = await changes.get(document_id)
        if before is None or before.deleted:
            return False
        now = self.clock()
        after = reprocess(before, changes.policy or self.default_policy, now)
        await record(changes, before, after, now)
        changes.say(Received(after))
        return True

    async def configure(
        self, tenant: str, collection: str, policy: PersonalDataPolicy | None
    ) -> PersonalDataPolicy:
        """Sets the policy for documents accepted from now on; the policy in force then.

        Raises `RuleError` for a policy that the service is not set up for.
        """
        if policy and policy not in self.policies:
            needed = f"cannot be {policy.value}: set GYRE_PSEUDONYM_KEY on the service"
            raise RuleError({"personal_data_policy": needed})
        async with self.documents.changing(tenant, collection) as changes:
            await changes.configure(policy)
        return policy or self.default_policy
