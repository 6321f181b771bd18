"""The model server's repository: folders that a program of the model environment puts there."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from gyre_runtime.program import run_program

from gyre_embedding.domain.embedders import PREFIX
from gyre_embedding.ports import ModelUnavailable, NotPlaced

CONFIG = "config.pbtxt"
STAGING = ".staging-"
DEPTH = 3
"""Of a model's folder in the store: tenant, name, key."""
_CONTENT = re.compile(r'key: "gyre_content_sha256" value \{ string_value: "(\w+)" \}')


class FolderShelf:
    """`Shelf`: runs `<command> --model-dir DIR --name NAME --repository DIR`."""

    def __init__(
        self, command: Sequence[str], store: Path, repository: Path, *, seconds: float = 1800.0
    ) -> None:
        """command: empty where models cannot be placed. store: only folders below it are."""
        self._command = command
        self._store = store
        self._repository = repository
        self._seconds = seconds

    async def place(self, name: str, uri: str) -> None:
        if not self._command:
            raise NotPlaced("no command is set that places embedders")
        where = ("--model-dir", self._folder(uri), "--name", name, "--repository", self._repository)
        try:
            ended = await run_program([*self._command, *map(str, where)], seconds=self._seconds)
        except TimeoutError:
            told = f"{name} was not placed in {self._seconds:g} s"
            raise ModelUnavailable(told) from None
        except OSError as error:
            raise ModelUnavailable(f"the command that places embedders: {error}") from error
        if ended.refusal:
            raise NotPlaced(f"{name} cannot be placed: {ended.refusal}")
        if ended.code:
            raise ModelUnavailable(f"{name} was not placed (code {ended.code}): {ended.last}")

    async def content(self, name: str) -> str | None:
        config = self._repository / name / CONFIG
        if not config.is_file():
            return None
        found = _CONTENT.search(config.read_text())
        return found[1] if found else ""

    async def names(self) -> frozenset[str]:
        found = self._repository.glob(f"{PREFIX}*/{CONFIG}")
        return frozenset(config.parent.name for config in found)

    async def remove(self, name: str) -> None:
        """Moved away at once, so that no half of it is ever loaded."""
        await asyncio.to_thread(self._remove, name)

    def _remove(self, name: str) -> None:
        if not (self._repository / name).is_dir():
            return
        away = Path(mkdtemp(prefix=STAGING, dir=self._repository))
        try:
            (self._repository / name).rename(away / name)
        except FileNotFoundError:
            pass  # another process was first
        finally:
            shutil.rmtree(away, ignore_errors=True)

    def _folder(self, uri: str) -> Path:
        """Where it was registered or, with the store elsewhere on this machine, at the same place
        in it."""
        store = self._store.resolve()
        told = Path(uri.removeprefix("file://"))
        for folder in (store / told, store.joinpath(*told.parts[-DEPTH:])):
            found = folder.resolve()
            if found.is_relative_to(store) and found != store and found.is_dir():
                return found
        raise NotPlaced(f"{uri!r} is no folder of the model store")
