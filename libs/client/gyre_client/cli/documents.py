"""`gyre documents`: what is there, and how far it has come."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gyre_client.cli.output import CollectionName, Json, console, print_json, print_whole, run
from gyre_client.client import Gyre
from gyre_client.models import Document, DocumentState

app = typer.Typer(help="List, show and delete documents.", no_args_is_help=True)

DocumentId = Annotated[str, typer.Argument(help="Id from `gyre documents list`.")]
_COLORS = {DocumentState.INDEXED: "green", DocumentState.REJECTED: "red"}


@app.command("list")
def list_documents(
    collection: CollectionName = "default",
    state: Annotated[DocumentState | None, typer.Option(help="Only those in this state.")] = None,
    as_json: Json = False,
) -> None:
    """List the documents of a collection.

    Example: gyre documents list --state rejected
    """
    run(_list(collection, state, as_json))


@app.command("show")
def show_document(document_id: DocumentId, as_json: Json = False) -> None:
    """Show everything known about a document.

    Example: gyre documents show 0f5e4c1c-5d3b-5d5e-9f77-2f1b8c0d7a11
    """
    run(_show(document_id, as_json))


@app.command("delete")
def delete_documents(
    document_ids: Annotated[list[str], typer.Argument(help="Ids from `gyre documents list`.")],
    as_json: Json = False,
) -> None:
    """Delete documents everywhere; search forgets them within moments.

    Example: gyre documents delete 0f5e4c1c-5d3b-5d5e-9f77-2f1b8c0d7a11
    """
    run(_delete(document_ids, as_json))


async def _list(collection: str, state: DocumentState | None, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = [one async for one in gyre.documents.list(collection=collection, state=state)]
    if as_json:
        print_json(found)
        return
    console.print(_table(found))
    console.print(f"{len(found)} documents in {collection!r}")


async def _show(document_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        print_whole(await gyre.documents.get(document_id), as_json)


async def _delete(document_ids: list[str], as_json: bool) -> None:
    async with Gyre() as gyre:
        for document_id in document_ids:
            document = await gyre.documents.delete(document_id)
            if as_json:
                print_json(document)
            else:
                console.print(f"deleted {document.source_uri} ({document_id})", markup=False)


def _table(documents: list[Document]) -> Table:
    """Fits 80 columns with the ids whole: they are what the other commands take."""
    table = Table("document", "state", show_lines=True)
    table.add_column("rev", justify="right", no_wrap=True)
    table.add_column("chunks", justify="right", no_wrap=True)
    for one in documents:
        about = Text("\n".join(filter(None, (one.title, one.source_uri))))
        about.append(f"\n{one.document_id}", "dim")
        state = Text(one.state, _COLORS.get(one.state, "yellow"))
        state.append(f"\n{one.rejection_detail}" if one.rejection_detail else "", "default")
        table.add_row(about, state, str(one.revision), str(one.chunk_count))
    return table
