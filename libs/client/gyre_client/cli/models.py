"""`gyre models`: versions in the registry, and their cards."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.training import Model

app = typer.Typer(
    help="See which models there are, and what each was made of.", no_args_is_help=True
)


@app.command("list")
def list_command(
    name: Annotated[str, typer.Argument(help="Only versions of this one.")] = "",
    as_json: Json = False,
) -> None:
    """List models and their versions, by name, then newest first.

    Example: gyre models list minilm
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.training.models(name)
        if as_json:
            print_json(found)
        else:
            console.print(_table(found) if found else "There are no models.")

    run(work())


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="name, name/version or name/alias.")],
    as_json: Json = False,
) -> None:
    """Show a version's card: its data, filters, licences, metrics, limits and files. Markdown where
    there is no terminal.

    Example: gyre models show minilm/champion
    """
    name, _, version = model.partition("/")

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.training.model(name, version)
        if as_json:
            print_json(found)
        elif console.is_terminal:
            console.print(Markdown(found.card))
        else:
            print(found.card)

    run(work())


def _table(found: tuple[Model, ...]) -> Table:
    table = Table("model", "kind", "aliases", "base model", "made by", "registered", "metrics")
    for one in found:
        made = f"training {one.training_id}" if one.training_id else "import"
        when = f"{one.register_time:%Y-%m-%d %H:%M}" if one.register_time else "-"
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(one.metrics.items()))
        table.add_row(
            f"{one.name}/{one.version}",
            one.kind,
            ", ".join(one.aliases),
            one.base_model or "-",
            made,
            when,
            metrics,
        )
    return table
