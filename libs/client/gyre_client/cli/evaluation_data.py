"""`gyre eval datasets`: versions of examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from gyre.evaluation.v1 import service_pb2
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, print_whole, run
from gyre_client.client import Gyre
from gyre_client.errors import InvalidError

app = typer.Typer(help="Versioned, immutable sets of examples.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Dataset.")]
Shares = Annotated[
    list[str] | None, typer.Option("--share", help="e.g. test=0.2; the rest is train. Repeatable.")
]
Stratify = Annotated[str, typer.Option(help="Slice whose values keep their shares in each split.")]


@app.command()
def upload(
    name: Name,
    file: Annotated[Path, typer.Argument(exists=True, help="JSONL, an example a line.")],
    description: Annotated[str, typer.Option(help="One line for people.")] = "",
    share: Shares = None,
    stratify: Stratify = "",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a new version of a JSONL file: question, answer (or references), passages, slices, ...

    Example: gyre eval datasets upload questions questions.jsonl --share test=0.3
    """

    async def work() -> None:
        async with Gyre() as gyre:
            made = await gyre.evaluation.upload_dataset(
                name,
                lines_of(file),
                description=description,
                shares=shares_of(share),
                stratify_by=stratify,
                seed=seed,
            )
        print_whole(made, as_json)

    run(work())


@app.command("from-answers")
def from_answers(
    name: Name,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Only answers from this one.")
    ] = "",
    prompt: Annotated[str, typer.Option(help="Only answers of this prompt.")] = "",
    model: Annotated[str, typer.Option(help="Only answers of this model.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Asked at or after (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 1000,
    share: Shares = None,
    as_json: Json = False,
) -> None:
    """Make a new version of answers that people were given.

    Example: gyre eval datasets from-answers last-week --since 2026-11-20 --collection manuals
    """
    wanted = service_pb2.AnswerFilter(
        collection=collection, prompt_name=prompt, model=model, limit=limit
    )
    if since is not None:
        wanted.start_time.FromDatetime(since.replace(tzinfo=UTC))

    async def work() -> None:
        async with Gyre() as gyre:
            opened = await gyre.evaluation.open_dataset(name, recorded=wanted)
            made = await gyre.evaluation.seal_dataset(opened, shares=shares_of(share))
        print_whole(made, as_json)

    run(work())


@app.command("from-reviews")
def from_reviews(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    share: Shares = None,
    as_json: Json = False,
) -> None:
    """Make a new version of completed reviews: their corrections are the references.

    Example: gyre eval datasets from-reviews reviewed
    """

    async def work() -> None:
        async with Gyre() as gyre:
            wanted = service_pb2.ReviewFilter(limit=limit)
            opened = await gyre.evaluation.open_dataset(name, reviews=wanted)
            made = await gyre.evaluation.seal_dataset(opened, shares=shares_of(share))
        print_whole(made, as_json)

    run(work())


@app.command("list")
def list_command(
    name: Annotated[str, typer.Argument(help="Only versions of this one.")] = "",
    as_json: Json = False,
) -> None:
    """List datasets and their versions.

    Example: gyre eval datasets list
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = [one async for one in gyre.evaluation.datasets(name)]
        if as_json:
            print_json(found)
            return
        table = Table("dataset", "examples", "splits", "state", "content", "description")
        for one in found:
            splits = ", ".join(f"{split} {count}" for split, count in sorted(one.splits.items()))
            state = "sealed" if one.sealed else "open"
            mark = one.content_hash[:12]
            where = f"{one.name}@{one.version}"
            table.add_row(where, str(one.examples), splits, state, mark, one.description)
        console.print(table)

    run(work())


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Dataset, or dataset@version.")],
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
) -> None:
    """Print the examples as JSONL.

    Example: gyre eval datasets show questions@2 --split test > test.jsonl
    """
    dataset, _, version = name.partition("@")

    async def work() -> None:
        async with Gyre() as gyre:
            async for one in gyre.evaluation.examples(dataset, int(version or 0), split=split):
                print_json(one)

    run(work())


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    """Raises InvalidError that names the line."""
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found = json.loads(line)
            except json.JSONDecodeError as error:
                detail = f"{file.name} line {number} is no JSON: {error.msg}"
                raise InvalidError("INVALID_ARGUMENT", detail) from error
            if not isinstance(found, dict):
                raise InvalidError("INVALID_ARGUMENT", f"{file.name} line {number} is no object")
            yield found


def shares_of(texts: list[str] | None) -> dict[str, float]:
    """Raises typer.BadParameter."""
    shares = {}
    for text in texts or ():
        name, _, share = text.partition("=")
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise typer.BadParameter(f'--share "{text}": write it like test=0.2') from error
    return shares
