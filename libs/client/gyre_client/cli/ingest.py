"""`gyre ingest`: files in, a live bar until each is indexed or rejected with its reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Annotated

import typer

from gyre_client.cli.output import FAILED, CollectionName, Json, console, print_json, run, stderr
from gyre_client.cli.uploads import ingest_files
from gyre_client.client import Gyre
from gyre_client.models import DocumentState


def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Files and folders.", exists=True, readable=True)
    ],
    collection: CollectionName = "default",
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and follow changes of the folders.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until every document is settled.")] = True,
    as_json: Json = False,
) -> None:
    """Upload documents and follow each one until it is searchable or rejected.

    Example: gyre ingest docs/ manual.pdf --collection help
    """
    run(_ingest(paths, collection, watch, wait, as_json))


async def _ingest(
    paths: list[Path], collection: str, watch: bool, wait: bool, as_json: bool
) -> int:
    files = list(named_files(paths))
    if not files:
        stderr.print("There are no files below these paths.")
        return FAILED
    async with Gyre() as gyre:
        settled = await ingest_files(gyre, files, collection, wait=wait, quiet=as_json)
        if as_json:
            print_json(settled)
        if watch:
            await _follow(gyre, paths, collection)
    return FAILED if any(one.state is DocumentState.REJECTED for one in settled) else 0


def named_files(paths: Iterable[Path]) -> Iterable[tuple[Path, str]]:
    """Each file with its lasting name: the folder's name and the path below it."""
    for path in paths:
        if path.is_file():
            yield path, path.name
            continue
        root = path.resolve()
        for file in sorted(root.rglob("*")):
            if file.is_file() and not any(part.startswith(".") for part in file.parts):
                yield file, f"{root.name}/{file.relative_to(root).as_posix()}"


async def _follow(gyre: Gyre, paths: list[Path], collection: str) -> None:
    console.print("Watching for changes; Ctrl-C ends.")
    names: dict[Path, str] = {}
    async for changed, deleted in _changes([path.resolve() for path in paths]):
        names |= {path.resolve(): name for path, name in named_files(paths)}
        files = [(path, names[path]) for path in changed if path in names]
        if files:
            await ingest_files(gyre, files, collection)
        await _delete(gyre, {names[path] for path in deleted if path in names}, collection)


async def _changes(paths: list[Path]) -> AsyncIterator[tuple[list[Path], list[Path]]]:
    from watchfiles import Change, awatch

    async for batch in awatch(*paths):
        gone = sorted({Path(path) for change, path in batch if change is Change.deleted})
        yield sorted({Path(path) for _, path in batch} - set(gone)), gone


async def _delete(gyre: Gyre, names: set[str], collection: str) -> None:
    if not names:
        return
    async for document in gyre.documents.list(collection=collection):
        if document.source_uri in names:
            await gyre.documents.delete(document.document_id)
            console.print(f"deleted {document.source_uri}", markup=False)
