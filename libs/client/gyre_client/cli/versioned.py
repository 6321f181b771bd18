"""What `gyre prompts` and `gyre chains` have in common: files, tables, diffs."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.syntax import Syntax
from rich.table import Table

from gyre_client.cli.output import FAILED, console, print_json, stderr
from gyre_client.errors import GyreError, InvalidError, UnavailableError
from gyre_client.versions import ChainVersion, LabelMove, PromptVersion, Registered

Name = Annotated[str, typer.Argument(help="Its name.")]
Wanted = Annotated[str, typer.Option("--version", help="Version or label; default: in force.")]
Folder = Annotated[Path, typer.Argument(exists=True, help="A file, or a folder of YAML files.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why; kept with the version.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="Moved to each version; repeatable.")
]


@dataclass(frozen=True)
class Applied:
    """A file on its way. labels, message: as the file or the command line declares."""

    path: Path
    name: str
    data: dict[str, Any]
    text: str
    labels: tuple[str, ...]
    message: str


Register = Callable[[Applied, bool], Awaitable[Registered]]


def read_files(place: Path, labels: Sequence[str], message: str) -> list[Applied]:
    """Every YAML file below, sorted. Raises InvalidError for those that are none."""
    paths = sorted(place.rglob("*.yaml")) + sorted(place.rglob("*.yml"))
    found = [_read(path, labels, message) for path in (paths if place.is_dir() else [place])]
    if not found:
        raise InvalidError("INVALID_ARGUMENT", f"{place} has no .yaml file")
    return found


def values_of(file: Path | None, pairs: Sequence[str]) -> dict[str, object]:
    """Of a YAML or JSON file, and `name=value`, whose value may be JSON. Raises InvalidError."""
    values = yaml.safe_load(file.read_text("utf-8")) if file else {}
    if not isinstance(values, dict):
        raise InvalidError("INVALID_ARGUMENT", f"{file} must be a mapping")
    return values | dict(map(_pair, pairs))


async def apply(files: Sequence[Applied], register: Register, dry_run: bool, as_json: bool) -> int:
    """All files are checked before the first one is registered."""
    checked = [await _try(file, register) for file in files]
    if not all(checked):
        stderr.print("nothing was registered", style="red")
        return FAILED
    done = checked if dry_run else [await register(file, False) for file in files]
    for file, registered in zip(files, done, strict=True):
        assert registered is not None
        if as_json:
            print_json({"file": str(file.path), **vars(registered)})
        else:
            _tell(file, registered, dry_run)
    return 0


def table_of(versions: Sequence[PromptVersion | ChainVersion]) -> Table:
    """One line each."""
    table = Table("name", "version", "labels", "message", "author", "registered")
    for one in versions:
        when = one.register_time.strftime("%Y-%m-%d %H:%M")
        labels = " ".join(one.labels)
        table.add_row(one.name, str(one.version), labels, one.message, one.author, when)
    return table


def print_moves(moves: Sequence[LabelMove]) -> None:
    """Where labels have been."""
    for move in moves:
        when = move.move_time.strftime("%Y-%m-%d %H:%M")
        why = f": {move.message}" if move.message else ""
        told = f"{when}  {move.label} {move.from_version} -> {move.to_version} by {move.author}"
        console.print(f"{told}{why}", markup=False)


def print_diff(diff: str) -> None:
    """Coloured."""
    console.print(Syntax(diff, "diff", background_color="default") if diff else "no difference")


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidError("INVALID_ARGUMENT", f"{text!r} must be name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _read(path: Path, labels: Sequence[str], message: str) -> Applied:
    text = path.read_text("utf-8")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidError("INVALID_ARGUMENT", f"{path} is no YAML: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise InvalidError("INVALID_ARGUMENT", f"{path} needs a `name`")
    declared = data.pop("labels", None) or []
    data.pop("version", None)
    why = message or str(data.pop("message", "") or f"applied from {path.name}")
    data.pop("message", None)
    own = _without(text, "labels", "message")
    return Applied(path, data.pop("name"), data, own, (*declared, *labels), why)


def _without(text: str, *fields: str) -> str:
    """The text without some of its outermost fields, comments and all else as they are."""
    for field in fields:
        text = re.sub(rf"^{field}:.*\n?(?:[ \t-].*\n?|\n)*", "", text, flags=re.MULTILINE)
    return text


async def _try(file: Applied, register: Register) -> Registered | None:
    try:
        return await register(file, True)
    except UnavailableError:
        raise
    except GyreError as error:
        stderr.print(f"{file.path}: {error}", style="red", markup=False)
        return None


def _tell(file: Applied, registered: Registered, dry_run: bool) -> None:
    version = registered.version
    state = "new" if registered.is_new else "unchanged"
    would = " (not registered)" if dry_run and registered.is_new else ""
    console.print(f"{version.name}/{version.version}  {state}{would}", markup=False)
    if registered.diff:
        print_diff(registered.diff)
    for move in registered.moves:
        told = "would move" if dry_run else "moved"
        console.print(f"  {move.label} {told} {move.from_version} -> {move.to_version}")
