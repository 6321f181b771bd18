"""What the platform brings along is registered when a process starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gyre_inference.domain.faults import Conflict
from gyre_inference.domain.registry import PLATFORM, PRODUCTION, Draft, Key, Kind, Move, Version
from gyre_inference.ports import Registry

AUTHOR = "gyre"


@dataclass(frozen=True)
class BuiltInFile:
    """One version of a release."""

    kind: Kind
    name: str
    number: int
    draft: Draft


class BuiltIn:
    """Files of a release. The highest number is in force; an older release that starts beside a
    newer one takes nothing back."""

    def __init__(self, registry: Registry, files: Sequence[BuiltInFile]) -> None:
        self._registry = registry
        self._files = files

    async def register(self) -> None:
        """May be repeated. Raises `Conflict` where a file is not what was registered before."""
        for file in sorted(self._files, key=lambda one: (one.name, one.number)):
            key = Key(PLATFORM, file.kind, file.name)
            there = await self._registry.versions(key, file.number + 1, 1)
            if not there or there[0].number != file.number:
                await self._keep(key, file.number, file.draft)
            elif there[0].digest != file.draft.digest:
                raise Conflict(
                    f"{file.kind.value} {file.name}/{file.number} was registered with another "
                    "content: a version never changes, give the file the next number"
                )

    async def _keep(self, key: Key, number: int, draft: Draft) -> None:
        now = datetime.now(UTC)
        async with self._registry.changing(key) as shelf:
            if await shelf.version(number) is not None:
                return  # another process was faster
            await shelf.keep(
                Version(key, number, draft.body, draft.digest, draft.message, draft.author, now)
            )
            pointed = shelf.held.labels.get(PRODUCTION, 0)
            if pointed < number:
                await shelf.move(
                    Move(PRODUCTION, pointed, number, draft.author, draft.message, now)
                )
