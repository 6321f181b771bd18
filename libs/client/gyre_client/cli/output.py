"""How commands print and end: tables for people, JSON for programs, exit codes for both."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gyre_client.errors import GyreError, NotFoundError, TimedOutError, UnavailableError

FAILED, UNREACHABLE, NOT_FOUND, INTERRUPTED = 1, 3, 4, 130

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CollectionName = Annotated[str, typer.Option("--collection", "-c", help="Collection to use.")]


def run(work: Coroutine[Any, Any, int | None]) -> None:
    """Runs a command to its end and exits with its code; errors become one line that helps."""
    try:
        code = asyncio.run(work) or 0
    except GyreError as error:
        stderr.print(f"[red]error[/] {_escaped(str(error))}")
        code = _code(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _code(error: GyreError) -> int:
    if isinstance(error, UnavailableError | TimedOutError):
        return UNREACHABLE
    return NOT_FOUND if isinstance(error, NotFoundError) else FAILED


def print_json(value: object) -> None:
    """One JSON value on one line; dataclasses become objects."""
    print(json.dumps(value, default=_plain, ensure_ascii=False), flush=True)


def print_whole(value: Any, as_json: bool) -> None:
    """Every field of a dataclass."""
    if as_json:
        print_json(value)
        return
    table = Table(show_header=False)
    for field in dataclasses.fields(value):
        table.add_row(field.name, str(getattr(value, field.name)))
    console.print(table)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
