"""`gyre train`: judgements become a model, watched and stopped by a person."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, print_whole, run
from gyre_client.cli.train_watch import followed
from gyre_client.client import Gyre
from gyre_client.training import Training

app = typer.Typer(help="Train models on what people thought.", no_args_is_help=True)

TrainingId = Annotated[str, typer.Argument(help="Id from `gyre train list`.")]
ENDS = (
    "Exit codes: 0 there is a model, 1 the training failed or was refused, 3 the service is "
    "unreachable, 4 not found, 130 somebody cancelled it."
)


@app.command(epilog=ENDS)
def start(
    recipe: Annotated[str, typer.Argument(help="Name from `gyre train recipes`.")],
    reason: Annotated[str, typer.Option(help="One sentence for those who come later.")] = "",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Value of the recipe, e.g. training.epochs=2. Repeatable."),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Id of an assembled one, instead of a new.")] = "",
    request_id: Annotated[str, typer.Option(help="The same id again is the same training.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    as_json: Json = False,
) -> None:
    """Want a training: a dataset is assembled, the recipe runs, and a model is registered.

    Example: gyre train start embedding-feedback --set training.epochs=2 --watch
    """
    overrides = overrides_of(change)

    async def work() -> int:
        async with Gyre() as gyre:
            started = await gyre.training.start(
                recipe,
                reason=reason,
                overrides=overrides,
                dataset_id=dataset,
                request_id=request_id,
            )
            if watch:
                return await followed(gyre, started.training_id, as_json=as_json)
        if as_json:
            print_json(started)
        else:
            console.print(f"training [bold]{started.training_id}[/] is {started.state}")
        return 0

    run(work())


@app.command("list")
def list_command(
    recipe: Annotated[str, typer.Option(help="Only of this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List trainings, newest first: why each was wanted, and what came of it.

    Example: gyre train list --recipe embedding-feedback
    """

    async def work() -> None:
        found: list[Training] = []
        async with Gyre() as gyre:
            async for one in gyre.training.list(recipe):
                found.append(one)
                if len(found) == limit:
                    break
        if as_json:
            print_json(found)
        else:
            console.print(_table(found) if found else "There are no trainings.")

    run(work())


@app.command()
def show(training_id: TrainingId, as_json: Json = False) -> None:
    """Show everything known of a training.

    Example: gyre train show 0f6f3c1e-0000-7000-8000-000000000000
    """

    async def work() -> None:
        async with Gyre() as gyre:
            print_whole(await gyre.training.get(training_id), as_json)

    run(work())


@app.command(epilog=ENDS)
def watch(training_id: TrainingId, as_json: Json = False) -> None:
    """Follow a training to its end: a bar and the loss as a curve; lines where there is no
    terminal, one JSON value for each moment with --json.

    Example: gyre train watch 0f6f3c1e-0000-7000-8000-000000000000
    """

    async def work() -> int:
        async with Gyre() as gyre:
            return await followed(gyre, training_id, as_json=as_json)

    run(work())


@app.command()
def cancel(
    training_id: TrainingId,
    reason: Annotated[str, typer.Option(help="One sentence for those who come later.")] = "",
    as_json: Json = False,
) -> None:
    """Stop a training; one that has ended stays as it is.

    Example: gyre train cancel 0f6f3c1e-0000-7000-8000-000000000000 --reason "wrong recipe"
    """

    async def work() -> None:
        async with Gyre() as gyre:
            ended = await gyre.training.cancel(training_id, reason)
        if as_json:
            print_json(ended)
        elif ended.ended:
            console.print(f"training {ended.training_id} is {ended.state}")
        else:
            console.print(f"training {ended.training_id} will stop; it is {ended.state} still")

    run(work())


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes: what each makes, by which method, of which rows.

    Example: gyre train recipes
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.training.recipes()
        if as_json:
            print_json(found)
            return
        table = Table("recipe", "makes", "method", "rows", "what it is for")
        for one in found:
            table.add_row(one.name, one.kind, one.method, one.form, one.description)
        console.print(table)

    run(work())


def overrides_of(texts: list[str] | None) -> dict[str, str]:
    """Raises typer.BadParameter."""
    found = {}
    for text in texts or ():
        path, sign, value = text.partition("=")
        if not (path and sign):
            raise typer.BadParameter(f'--set "{text}": write it like training.epochs=2')
        found[path] = value
    return found


def _table(found: list[Training]) -> Table:
    table = Table("training", "recipe", "state", "steps", "model", "why")
    for one in found:
        state = f"{one.state}: {one.reason}" if one.reason else one.state
        steps = f"{one.step} of {one.steps}" if one.steps else "-"
        why = f"{one.trigger}: {one.why}" if one.why else one.trigger
        table.add_row(one.training_id, one.recipe, state, steps, one.model or "-", why)
    return table
