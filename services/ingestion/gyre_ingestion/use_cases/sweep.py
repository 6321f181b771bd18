"""Removes originals that nothing refers to: of deleted documents, and of uploads that died."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from gyre_ingestion.ports import Clock, ContentStore, Documents


@dataclass(frozen=True)
class Sweep:
    """Looks only at what was not written for `grace`: an upload writes first, then refers."""

    documents: Documents
    contents: ContentStore
    clock: Clock
    grace: timedelta

    async def run(self) -> int:
        """One pass; how many objects it removed."""
        moment = self.clock() - self.grace
        stored: dict[str, list[str]] = defaultdict(list)
        async for tenant, sha256 in self.contents.names():
            stored[tenant].append(sha256)
        removed = [await self._sweep(tenant, hashes, moment) for tenant, hashes in stored.items()]
        return sum(removed) + await self.contents.remove_fragments(moment)

    async def _sweep(self, tenant: str, hashes: list[str], moment: datetime) -> int:
        unused = sorted(await self.documents.unused(tenant, hashes))
        return sum([await self.contents.remove_unless_fresh(tenant, one, moment) for one in unused])
