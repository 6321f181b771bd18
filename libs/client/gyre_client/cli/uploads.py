"""Files on their way: side by side, one bar that follows each document, what was refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gyre_client.cli.output import console, stderr
from gyre_client.client import Gyre
from gyre_client.errors import GyreError, InvalidError, UnavailableError
from gyre_client.models import Document, DocumentState

UPLOADS_AT_ONCE = 8
ORDER = ("received", "chunked", "embedded", "indexed", "rejected")


async def ingest_files(
    gyre: Gyre,
    files: Sequence[tuple[Path, str]],
    collection: str,
    *,
    wait: bool = True,
    quiet: bool = False,
) -> list[Document]:
    """Uploads `files` and returns their documents, settled if `wait`."""
    with _bar(quiet) as progress:
        follow = _Follow(progress, len(files))
        gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def upload(path: Path, name: str) -> None:
            async with gate:
                await follow.upload(gyre, path, name, collection)

        async with asyncio.TaskGroup() as group:
            for path, name in files:
                group.create_task(upload(path, name))
        if wait:
            await follow.until_settled(gyre, collection)
    follow.report(quiet)
    return list(follow.documents.values())


class _Follow:
    """What is known of each document, shown as one bar."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("ingest", total=total, states="")
        self.documents: dict[str, Document] = {}
        self.refused: dict[str, str] = {}

    async def upload(self, gyre: Gyre, path: Path, name: str, collection: str) -> None:
        content = await asyncio.to_thread(path.read_bytes)
        try:
            uploaded = await gyre.documents.upload(content, source_uri=name, collection=collection)
        except UnavailableError:
            raise
        except GyreError as error:
            self.refused[name] = str(error)
            self._show()
            return
        self.saw(uploaded.document)

    async def until_settled(self, gyre: Gyre, collection: str) -> None:
        if self._open():
            async for document in gyre.documents.watch(
                collection=collection, document_ids=self._open()
            ):
                self.saw(document)
                if not self._open():
                    return

    def saw(self, document: Document) -> None:
        self.documents[document.document_id] = document
        self._show()

    def report(self, quiet: bool) -> None:
        """Says which documents will not be found, and why."""
        for one in self.documents.values():
            if one.state is DocumentState.REJECTED and not quiet:
                why = f"{one.rejection_reason}: {one.rejection_detail}"
                console.print(f"rejected {one.source_uri}: {why}", style="red", markup=False)
        for name, why in self.refused.items():
            stderr.print(f"not accepted {name}: {why}", style="red", markup=False)
        if self.refused and not self.documents:
            raise InvalidError("INVALID_ARGUMENT", "no document was accepted; see above")

    def _open(self) -> list[str]:
        return [key for key, one in self.documents.items() if not one.state.settled]

    def _show(self) -> None:
        counts = Counter(one.state.value for one in self.documents.values())
        counts["rejected"] += len(self.refused)
        states = "  ".join(f"{state} {counts[state]}" for state in ORDER if counts[state])
        done = counts["indexed"] + counts["rejected"] + counts["deleted"]
        self._progress.update(self._task, completed=done, states=states)


def _bar(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[states]}"),
        TimeElapsedColumn(),
        console=stderr if quiet else console,
        disable=quiet,
    )
