"""`gyre prompts`: versions that never change, labels that move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from gyre_client.cli.mirror import mirror_prompts
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
    print_diff,
    print_moves,
    read_files,
    table_of,
    values_of,
)
from gyre_client.client import Gyre
from gyre_client.versions import Registered

app = typer.Typer(help="List, compare, render, apply and promote prompts.", no_args_is_help=True)

app.command("mirror")(mirror_prompts)


@app.command("list")
def list_prompts(
    name: Annotated[str, typer.Argument(help="All versions of this one.")] = "",
    as_json: Json = False,
) -> None:
    """List the prompts in force, or all versions of one.

    Example: gyre prompts list answer
    """
    run(_list(name, as_json))


@app.command("show")
def show_prompt(name: Name, version: Wanted = "", as_json: Json = False) -> None:
    """Show a version and where its labels have been.

    Example: gyre prompts show answer --version candidate
    """
    run(_show(name, version, as_json))


@app.command("diff")
def diff_prompts(
    name: Name,
    old: Annotated[str, typer.Argument(help="Version or label; default: the one before.")] = "",
    new: Annotated[str, typer.Argument(help="Version or label; default: the newest.")] = "",
    as_json: Json = False,
) -> None:
    """Show what changed between two versions.

    Example: gyre prompts diff answer production candidate
    """
    run(_diff(name, old, new, as_json))


@app.command("render")
def render_prompt(
    name: Name,
    argument: Annotated[
        list[str] | None,
        typer.Option("--argument", "-a", help="name=value; a value may be JSON. Repeatable."),
    ] = None,
    arguments_file: Annotated[
        Path | None, typer.Option("--arguments", exists=True, help="YAML or JSON file.")
    ] = None,
    version: Wanted = "",
    as_json: Json = False,
) -> None:
    """Show the messages that a model would get.

    Example: gyre prompts render condense -a question="And abroad?" -a conversation=[]
    """
    run(_render(name, argument or [], arguments_file, version, as_json))


@app.command("apply")
def apply_prompts(
    folder: Folder,
    message: Message = "",
    label: Labels = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register what changed in a folder of prompt files, and move the labels they declare.

    All files are checked first; where one is wrong, none is registered.

    Example: gyre prompts apply prompts/ --dry-run
    """
    run(_apply(folder, message, label or [], dry_run, as_json))


@app.command("promote")
def promote_prompt(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version or label it shall point to.")],
    label: Annotated[str, typer.Option("--label", help="The label to move.")] = "production",
    message: Message = "",
    as_json: Json = False,
) -> None:
    """Move a label; moving it back is a rollback. In force everywhere within a second.

    Example: gyre prompts promote answer candidate -m "better on the March set"
    """
    run(_promote(name, version, label, message, as_json))


async def _list(name: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = [one async for one in gyre.prompts.list(name)]
    print_json(found) if as_json else console.print(table_of(found))


async def _show(name: str, version: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found, moves = await gyre.prompts.get(name, version)
    if as_json:
        print_json({"version": found, "moves": moves})
        return
    console.print(table_of([found]))
    content = yaml.safe_dump(dict(found.content), sort_keys=False, allow_unicode=True, width=100)
    console.print(content, markup=False)
    print_moves(moves)


async def _diff(name: str, old: str, new: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        diff = await gyre.prompts.diff(name, old, new)
    print_json({"diff": diff}) if as_json else print_diff(diff)


async def _render(
    name: str, pairs: list[str], file: Path | None, version: str, as_json: bool
) -> None:
    arguments = values_of(file, pairs)
    async with Gyre() as gyre:
        number, messages = await gyre.prompts.render(name, arguments, version)
    if as_json:
        print_json({"version": number, "messages": messages})
        return
    for message in messages:
        console.print(f"--- {message.role}", style="cyan")
        console.print(message.content, markup=False)


async def _apply(
    folder: Path, message: str, labels: list[str], dry_run: bool, as_json: bool
) -> int:
    async with Gyre() as gyre:

        async def register(file: Applied, only_try: bool) -> Registered:
            return await gyre.prompts.register(
                file.name,
                file.data,
                message=file.message,
                labels=file.labels,
                dry_run=only_try,
            )

        return await apply(read_files(folder, labels, message), register, dry_run, as_json)


async def _promote(name: str, version: str, label: str, message: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found, move = await gyre.prompts.promote(name, version, label=label, message=message)
    if as_json:
        print_json({"version": found, "move": move})
    elif move is None:
        console.print(f"{label} points to {name}/{found.version} already", markup=False)
    else:
        print_moves([move])
