"""`gyre deadletters`: what could not be handled, why, and once more, please."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, print_whole, run
from gyre_client.operators import connected

app = typer.Typer(help="List, show and redrive dead letters.", no_args_is_help=True)

Sequence = Annotated[int, typer.Argument(help="Number from `gyre deadletters list`.")]


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest letters shown.")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest dead letters with their reasons.

    Example: gyre deadletters list --limit 10
    """
    run(_list(limit, as_json))


@app.command("show")
def show_letter(sequence: Sequence, as_json: Json = False) -> None:
    """Show one dead letter whole.

    Example: gyre deadletters show 17
    """
    run(_show(sequence, as_json))


@app.command("redrive")
def redrive_letters(
    sequences: Annotated[
        list[int] | None, typer.Argument(help="Numbers from `gyre deadletters list`.")
    ] = None,
    all_letters: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    as_json: Json = False,
) -> None:
    """Give events back to the listener that could not handle them, with their attempts reset.

    Do it when the cause is mended. A letter that goes back leaves the list.

    Example: gyre deadletters redrive 17 18
    """
    if bool(sequences) == all_letters:
        raise typer.BadParameter("name the letters, or say --all")
    run(_redrive(sequences or [], as_json))


async def _list(limit: int, as_json: bool) -> None:
    async with connected() as bus:
        letters = await bus.dead_letters(limit)
    if as_json:
        print_json(letters)
        return
    table = Table("number", "time", "listener", "reason", "detail", "attempts", "from")
    for one in letters:
        cells = (str(one.time), one.listener, one.reason, one.detail, str(one.attempts))
        table.add_row(str(one.sequence), *cells, one.origin_subject)
    console.print(table if letters else "There are no dead letters.")


async def _show(sequence: int, as_json: bool) -> None:
    async with connected() as bus:
        print_whole(await bus.dead_letter(sequence), as_json)


async def _redrive(sequences: list[int], as_json: bool) -> None:
    async with connected() as bus:
        wanted = sequences or [one.sequence for one in await bus.dead_letters(10_000)]
        for sequence in wanted:
            subject = await bus.redrive(sequence)
            if as_json:
                print_json({"sequence": sequence, "subject": subject})
            else:
                console.print(f"{sequence} went back to {subject}", markup=False)
