"""`gyre chains`: steps that feed one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.syntax import Syntax

from gyre_client.chains import (
    ChainDone,
    ChainEvent,
    ChainRun,
    ChainStarted,
    StepDelta,
    StepDone,
    StepStarted,
)
from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.cli.versioned import (
    Applied,
    DryRun,
    Folder,
    Labels,
    Message,
    Name,
    Wanted,
    apply,
    print_moves,
    read_files,
    table_of,
    values_of,
)
from gyre_client.client import Gyre
from gyre_client.versions import Registered

app = typer.Typer(help="List, apply, promote and run chains.", no_args_is_help=True)


@app.command("list")
def list_chains(
    name: Annotated[str, typer.Argument(help="All versions of this one.")] = "",
    as_json: Json = False,
) -> None:
    """List the chains in force, or all versions of one.

    Example: gyre chains list conversation
    """
    run(_list(name, as_json))


@app.command("show")
def show_chain(name: Name, version: Wanted = "", as_json: Json = False) -> None:
    """Show a version and where its labels have been.

    Example: gyre chains show answer
    """
    run(_show(name, version, as_json))


@app.command("apply")
def apply_chains(
    folder: Folder,
    message: Message = "",
    label: Labels = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register what changed in a folder of chain files.

    All files are checked first; where one is wrong, none is registered.

    Example: gyre chains apply chains/ --label candidate
    """
    run(_apply(folder, message, label or [], dry_run, as_json))


@app.command("promote")
def promote_chain(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version or label it shall point to.")],
    label: Annotated[str, typer.Option("--label", help="The label to move.")] = "production",
    message: Message = "",
    as_json: Json = False,
) -> None:
    """Move a label; moving it back is a rollback. In force everywhere within a second.

    Example: gyre chains promote answer 2
    """
    run(_promote(name, version, label, message, as_json))


@app.command("run")
def run_chain(
    name: Name,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value; a value may be JSON. Repeatable."),
    ] = None,
    inputs_file: Annotated[
        Path | None, typer.Option("--inputs", exists=True, help="YAML or JSON file.")
    ] = None,
    version: Wanted = "",
    run_id: Annotated[str, typer.Option("--run-id", help="Goes on with this run.")] = "",
    tokens: Annotated[int, typer.Option("--tokens", min=0, help="Most tokens; 0: its own.")] = 0,
    as_json: Json = False,
) -> None:
    """Run a chain: each step as it begins and ends, the text as it streams.

    Example: gyre chains run conversation -i question="And abroad?"
    """
    run(_run(name, inputs or [], inputs_file, version, run_id, tokens, as_json))


@app.command("show-run")
def show_run(
    run_id: Annotated[str, typer.Argument(help="Id from `gyre chains run`.")],
    as_json: Json = False,
) -> None:
    """Show what was recorded of a run.

    Example: gyre chains show-run 0190b5a6-7c1e-7000-8000-5d3b0f5e4c1c
    """
    run(_show_run(run_id, as_json))


async def _list(name: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = [one async for one in gyre.chains.list(name)]
    print_json(found) if as_json else console.print(table_of(found))


async def _show(name: str, version: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found, moves = await gyre.chains.get(name, version)
    if as_json:
        print_json({"version": found, "moves": moves})
        return
    console.print(table_of([found]))
    console.print(Syntax(found.definition, "yaml", background_color="default"))
    print_moves(moves)


async def _apply(
    folder: Path, message: str, labels: list[str], dry_run: bool, as_json: bool
) -> int:
    async with Gyre() as gyre:

        async def register(file: Applied, only_try: bool) -> Registered:
            return await gyre.chains.register(
                file.text, message=file.message, labels=file.labels, dry_run=only_try
            )

        return await apply(read_files(folder, labels, message), register, dry_run, as_json)


async def _promote(name: str, version: str, label: str, message: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found, move = await gyre.chains.promote(name, version, label=label, message=message)
    if as_json:
        print_json({"version": found, "move": move})
    elif move is None:
        console.print(f"{label} points to {name}/{found.version} already", markup=False)
    else:
        print_moves([move])


async def _run(
    name: str,
    pairs: list[str],
    file: Path | None,
    version: str,
    run_id: str,
    tokens: int,
    as_json: bool,
) -> None:
    inputs = values_of(file, pairs)
    async with Gyre() as gyre:
        events = gyre.chains.run(
            name, inputs, version=version, chain_run_id=run_id, token_budget=tokens
        )
        async for event in events:
            if as_json:
                print_json({"event": type(event).__name__, **vars(event)})
            else:
                _show_event(event)


async def _show_run(run_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.chains.get_run(run_id)
    print_json(found) if as_json else _show_recorded(found)


def _show_event(event: ChainEvent) -> None:
    match event:
        case ChainStarted():
            console.print(f"run {event.chain_run_id}", style="dim")
        case StepStarted():
            console.print(f"{event.step_id}  {event.kind} …", style="cyan", markup=False)
        case StepDelta(is_output=True):
            console.print(event.text, end="", markup=False, soft_wrap=True)
        case StepDone():
            _show_step(event)
        case ChainDone():
            told = f"{event.finish_reason} · {event.usage.input_tokens} tokens in"
            console.print(f"{told}, {event.usage.output_tokens} out", style="dim")


def _show_step(step: StepDone) -> None:
    how = "from before" if step.resumed else f"{step.seconds * 1000:.0f} ms"
    tokens = step.usage.input_tokens + step.usage.output_tokens
    spent = f", {tokens} tokens" if tokens else ""
    console.print(f"\n{step.step_id}  {step.status} ({how}{spent})", style="green", markup=False)


def _show_recorded(found: ChainRun) -> None:
    console.print(f"{found.chain}/{found.version}  {found.state}", markup=False)
    for step in found.steps:
        _show_step(step)
    if found.detail:
        console.print(found.detail, style="red", markup=False)
    if found.output is not None:
        console.print(found.output, markup=False)
