"""`gyre search`: the passages themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import CollectionName, Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.models import Hit


class Mode(StrEnum):
    """How passages are found."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    collection: CollectionName = "default",
    mode: Annotated[Mode, typer.Option(help="By meaning, by words, or both.")] = Mode.HYBRID,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Passages wanted.")] = 5,
    language: Annotated[list[str] | None, typer.Option(help="ISO 639-1 code; repeatable.")] = None,
    index: Annotated[
        str, typer.Option(help="Another filled index than the one in use: `gyre index show`.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find the best passages of a collection.

    Example: gyre search "early termination fee" --mode lexical --top-k 3
    """
    run(_search(query, collection, mode, top_k, language or [], index, as_json))


async def _search(
    query: str,
    collection: str,
    mode: Mode,
    top_k: int,
    languages: list[str],
    index: str,
    as_json: bool,
) -> None:
    async with Gyre() as gyre:
        hits = await gyre.search(
            query,
            collection=collection,
            mode=mode.value,
            top_k=top_k,
            languages=languages,
            index=index,
        )
    if as_json:
        print_json(hits)
    elif hits:
        console.print(_table(hits))
    else:
        console.print(f"Nothing in {collection!r} matches.")


def _table(hits: list[Hit]) -> Table:
    table = Table("score", "document", "passage", show_lines=True)
    for hit in hits:
        routes = " ".join(f"{name} #{rank}" for name, (_, rank) in sorted(hit.routes.items()))
        place = "\n".join((hit.title, " > ".join(hit.heading_path), hit.source_uri))
        table.add_row(f"{hit.score:.3f}\n{routes}", place, hit.text)
    return table
