"""Models of the store into the model server's repository, by the program that knows how.

It lives in the model environment, which is not the service's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gyre_runtime.program import run_program

from gyre_inference.domain.faults import Conflict, Unavailable


class CommandShelf:
    """`ModelShelf`: runs `<command> --model-dir DIR --name NAME --repository DIR`."""

    def __init__(
        self, command: Sequence[str], store: Path, repository: Path, *, seconds: float = 600.0
    ) -> None:
        """command: empty where models cannot be placed. store: only folders below it are."""
        self._command = command
        self._store = store
        self._repository = repository
        self._seconds = seconds

    async def place(self, name: str, uri: str) -> None:
        """See `ModelShelf`."""
        if not self._command:
            raise Conflict("no command is set that places models: put it there beforehand")
        folder = self._folder(uri)
        where = ("--model-dir", folder, "--name", name, "--repository", self._repository)
        try:
            ended = await run_program([*self._command, *map(str, where)], seconds=self._seconds)
        except TimeoutError:
            raise Unavailable(f"{name!r} was not placed in {self._seconds:g} s") from None
        except OSError as error:
            raise Unavailable(f"the program that places models: {error}") from error
        if ended.refusal:
            raise Conflict(f"{name!r} cannot be placed: {ended.refusal}")
        if ended.code:  # e.g. it was killed
            raise Unavailable(f"{name!r} was not placed (code {ended.code}): {ended.last}")

    def _folder(self, uri: str) -> Path:
        store = self._store.resolve()
        folder = (store / uri.removeprefix("file://")).resolve()
        if not folder.is_relative_to(store) or not folder.is_dir():
            raise Conflict(f"{uri!r} is no folder of the model store")
        return folder
