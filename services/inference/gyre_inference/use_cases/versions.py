"""Versions of prompts and chains are kept, listed, compared; their labels are moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gyre_inference.domain.faults import NotFound
from gyre_inference.domain.prompt_text import difference
from gyre_inference.domain.registry import (
    PRODUCTION,
    Draft,
    Holdings,
    Key,
    Kind,
    Move,
    Registered,
    Version,
    draft_violations,
    label_violations,
    message_violations,
    refuse,
)
from gyre_inference.ports import Registry
from gyre_inference.use_cases.shelving import Promotion, planned, promote, register

_MOVES = 100


@dataclass(frozen=True)
class Shown:
    """A version and the labels that point to it."""

    version: Version
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a draft, or would. difference: to the newest version before it."""

    registered: Registered
    labels: tuple[str, ...]
    difference: str


class Versions:
    """Of one kind. readable: a body as people read it. changed: what is told of every change."""

    def __init__(
        self,
        registry: Registry,
        kind: Kind,
        readable: Callable[[str], str],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._kind = kind
        self._readable = readable
        self._changed = changed

    async def register(
        self, tenant: str, name: str, draft: Draft, *, dry_run: bool = False
    ) -> Outcome:
        """Equal content is the same version. The first version of a name is in force at once."""
        refuse(draft_violations(name, draft))
        key = self._key(tenant, name)
        before = await self._registry.holdings(key)
        if dry_run:
            known = await self._registry.known(key, draft.digest)
            registered = planned(key, before, draft, known)
        else:
            async with self._registry.changing(key) as shelf:
                registered = await register(key, shelf, draft)
            await self._changed()
        moved = {move.label: move.to_number for move in registered.moves}
        after = Holdings(before.newest, {**before.labels, **moved})
        number = registered.version.number
        return Outcome(
            registered, after.pointing(number), await self._to_newest(before, registered)
        )

    async def get(self, tenant: str, name: str, wanted: str) -> tuple[Shown, list[Move]]:
        """A version and the moves of its labels. Raises `NotFound`."""
        key = self._key(tenant, name)
        held = await self._registry.holdings(key)
        number = held.number(key, wanted)
        version = await self._registry.version(key, number)
        return Shown(version, held.pointing(number)), await self._registry.moves(key, _MOVES)

    async def history(self, tenant: str, name: str, below: int, limit: int) -> list[Shown]:
        """All versions of one name, newest first. Raises `NotFound` where there is none."""
        key = self._key(tenant, name)
        held = await self._registry.holdings(key)
        if not held.newest:
            raise NotFound(f"no {self._kind.value} {name!r}")
        found = await self._registry.versions(key, below, limit)
        return [Shown(version, held.pointing(version.number)) for version in found]

    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Shown]:
        """The version in force of each name, sorted by name."""
        names = await self._registry.names(tenant, self._kind, after, limit)
        return [(await self.get(tenant, name, ""))[0] for name in names]

    async def promote(
        self, tenant: str, name: str, promotion: Promotion
    ) -> tuple[Shown, Move | None]:
        """Moves a label; None where it pointed there already. Raises `NotFound`, `Conflict`."""
        label = promotion.label or PRODUCTION
        refuse(label_violations(label))
        refuse(message_violations(promotion.message))
        key = self._key(tenant, name)
        async with self._registry.changing(key) as shelf:
            move = await promote(key, shelf, label, promotion)
        await self._changed()
        (shown, _) = await self.get(tenant, name, label)
        return shown, move

    async def diff(
        self, tenant: str, name: str, old: str, new: str
    ) -> tuple[Version, Version, str]:
        """An empty `new` is the newest version, an empty `old` the one before `new`."""
        key = self._key(tenant, name)
        held = await self._registry.holdings(key)
        newer = await self._registry.version(key, held.number(key, new or str(held.newest)))
        if old:
            older = await self._registry.version(key, held.number(key, old))
        else:
            before = await self._registry.versions(key, newer.number, 1)
            older = before[0] if before else newer
        return older, newer, self._difference(older, newer)

    def _key(self, tenant: str, name: str) -> Key:
        return Key(tenant, self._kind, name)

    async def _to_newest(self, before: Holdings, registered: Registered) -> str:
        if not registered.is_new:
            return ""
        new = registered.version
        older = await self._registry.versions(new.key, new.number, 1) if before.newest else []
        return self._difference(older[0] if older else None, new)

    def _difference(self, old: Version | None, new: Version) -> str:
        names = [f"{new.key.name}/{one.number if one else 0}" for one in (old, new)]
        return difference(self._readable(old.body) if old else "", self._readable(new.body), *names)
