"""The registry's aliases follow what is in use."""

from __future__ import annotations

import asyncio

from gyre_retraining.domain.models import CANDIDATE, CHAMPION, PREVIOUS
from gyre_retraining.domain.releases import START, Release, Standing, standing
from gyre_retraining.registry_ports import ModelRegistry, Releases


class FollowReleases:
    """Notes what was heard, then points the aliases to what all of it comes to: a repetition, or an
    old event that comes late, changes nothing. What ends between two steps is done again by the
    event's repetition. Aliases of a name that was released are not for people to move: the next
    release moves them back."""

    def __init__(self, registry: ModelRegistry, releases: Releases) -> None:
        self._registry = registry
        self._releases = releases
        self._turn = asyncio.Lock()

    async def follow(self, release: Release) -> None:
        """In a handler, before the event is applied. One of a model that the registry does not
        know is passed over. Raises `RegistryUnavailable`."""
        tenant, name = release.tenant, release.name
        async with self._turn:
            if await self._registry.get(tenant, name, str(release.version)) is None:
                return
            await self._note_start(tenant, name)
            await self._releases.note(release)
            known: list[Release] = []
            while known != (heard := await self._releases.of(tenant, name)):
                known = heard  # another process may have heard more while we pointed
                await self._point(tenant, name, standing(known))

    async def _note_start(self, tenant: str, name: str) -> None:
        """The champion that there was before the first release is one to go back to."""
        if await self._releases.of(tenant, name):
            return
        champion = await self._registry.get(tenant, name, CHAMPION)
        version = champion.version if champion else 0
        await self._releases.note(Release(tenant, name, START, version, 0.0, bool(version)))

    async def _point(self, tenant: str, name: str, wanted: Standing) -> None:
        for alias, version in ((PREVIOUS, wanted.previous), (CHAMPION, wanted.champion)):
            pointed = await self._registry.get(tenant, name, alias)
            if version and (pointed is None or pointed.version != version):
                await self._registry.set_alias(tenant, name, alias, version)
            elif pointed is not None and not version:
                await self._registry.remove_alias(tenant, name, alias, pointed.version)
        candidate = await self._registry.get(tenant, name, CANDIDATE)
        if candidate is not None and candidate.version in wanted.tried:
            await self._registry.remove_alias(tenant, name, CANDIDATE, candidate.version)
