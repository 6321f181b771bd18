"""`gyre review`: look at answers again."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.panel import Panel
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run, stderr
from gyre_client.client import Gyre
from gyre_client.judgements import Question, ReviewItem

app = typer.Typer(help="Look at answers again, by a rubric.", no_args_is_help=True)

ItemId = Annotated[str, typer.Argument(help="Id from `gyre review next`.")]
Comment = Annotated[str, typer.Option(help="Anything else.")]


class FileFormat(StrEnum):
    """How reviews are written down."""

    JSONL = "jsonl"
    LABEL_STUDIO = "label_studio"


HowWritten = Annotated[FileFormat, typer.Option("--format", help="How they are written down.")]


@app.command("next")
def next_item(
    reason: Annotated[
        str, typer.Option(help="asked, low_score, disagreement, low_confidence or sample.")
    ] = "",
    ask: Annotated[bool, typer.Option("--ask", help="Answer its questions here and now.")] = False,
    as_json: Json = False,
) -> None:
    """Claim the next answer to review; exit code 4 when nothing waits.

    Example: gyre review next --ask
    """
    run(_next(reason, ask, as_json))


@app.command("complete")
def complete(
    item_id: ItemId,
    label: Annotated[list[str], typer.Option(help="question=choice; repeatable.")],
    correction: Annotated[str, typer.Option(help="The answer as it should have been.")] = "",
    comment: Comment = "",
    as_json: Json = False,
) -> None:
    """Complete a review.

    Example: gyre review complete ID --label correct=right --label helpful=partly
    """
    labels = dict(_pair(one) for one in label)
    run(_complete(item_id, labels, correction, comment, as_json))


@app.command("decline")
def decline(item_id: ItemId, comment: Comment = "", as_json: Json = False) -> None:
    """Decline a review; somebody else will be asked.

    Example: gyre review decline ID --comment "I know nothing of tariffs"
    """
    run(_decline(item_id, comment, as_json))


@app.command("add")
def add(
    answer_id: Annotated[str, typer.Argument(help="Id of the answer.")], as_json: Json = False
) -> None:
    """Put an answer up for review.

    Example: gyre review add 01890a5d-ac96-774b-bcce-b302099a8057
    """
    run(_add(answer_id, as_json))


@app.command("summary")
def summary(as_json: Json = False) -> None:
    """Show how far the queue is, and how well reviewers agree.

    Example: gyre review summary
    """
    run(_summary(as_json))


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; standard output if left out.")
    ] = None,
    format_: HowWritten = FileFormat.JSONL,
    only_done: Annotated[bool, typer.Option(help="Only with all wanted reviews.")] = False,
) -> None:
    """Write items with their reviews: JSON lines, or one JSON list of Label Studio tasks.

    Example: gyre review export tasks.json --format label_studio
    """
    run(_export(file, format_, only_done))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What to read.")],
    format_: HowWritten = FileFormat.JSONL,
    as_json: Json = False,
) -> None:
    """Take items and reviews made elsewhere; importing again changes nothing.

    Example: gyre review import export.json --format label_studio
    """
    run(_import(file, format_, as_json))


async def _next(reason: str, ask: bool, as_json: bool) -> None:
    async with Gyre() as gyre:
        item = await gyre.reviews.next(reason=reason)
        if as_json:
            print_json(item)
            return
        _show(item)
        if ask:
            labels = {one.name: _asked(one) for one in item.rubric}
            await gyre.reviews.complete(item.item_id, labels)
            console.print("Thank you.")


def _asked(question: Question) -> str:
    choices = "/".join(question.choices)
    while True:
        said = str(typer.prompt(f"{question.text} ({choices})")).strip().lower()
        if said in question.choices:
            return said
        stderr.print(f"one of {choices}, please")


async def _complete(
    item_id: str, labels: dict[str, str], correction: str, comment: str, as_json: bool
) -> None:
    async with Gyre() as gyre:
        item = await gyre.reviews.complete(item_id, labels, correction=correction, comment=comment)
    _done(item, as_json)


async def _decline(item_id: str, comment: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _done(await gyre.reviews.decline(item_id, comment=comment), as_json)


async def _add(answer_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _done(await gyre.reviews.add(answer_id), as_json)


async def _summary(as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.reviews.summary()
    if as_json:
        print_json(found)
        return
    console.print(
        f"{found.open_items} open, {found.done_items} done; "
        f"{found.reviews} reviews, {found.declined} declined"
    )
    if found.agreement:
        table = Table("question", "Krippendorff's alpha", "items", "reviewers")
        for question, (alpha, items, reviewers) in found.agreement.items():
            table.add_row(question, f"{alpha:.3f}", str(items), str(reviewers))
        console.print(table)


async def _export(file: Path | None, kind: FileFormat, only_done: bool) -> None:
    async with Gyre() as gyre:
        pages = gyre.reviews.export(kind.value, only_done=only_done)
        records = [one async for one in pages]
    _write(file, _text(records, kind), len(records))


def _write(file: Path | None, text: str, count: int) -> None:
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, "utf-8")
        stderr.print(f"{count} items in {file}", markup=False)


async def _import(file: Path, kind: FileFormat, as_json: bool) -> None:
    records = _records(file, kind)
    async with Gyre() as gyre:
        items, reviews = await gyre.reviews.bring(records, kind.value)
    if as_json:
        print_json({"items": items, "reviews": reviews})
    else:
        console.print(f"{items} new items, {reviews} new or changed reviews")


def _text(records: list[dict[str, Any]], kind: FileFormat) -> str:
    if kind is FileFormat.LABEL_STUDIO:
        return json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


def _records(file: Path, kind: FileFormat) -> list[dict[str, Any]]:
    text = file.read_text("utf-8")
    try:
        if kind is FileFormat.LABEL_STUDIO:
            found = json.loads(text)
            return found if isinstance(found, list) else [found]
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not {kind.value}: {error}") from error


def _pair(text: str) -> tuple[str, str]:
    question, equals, choice = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r}: give question=choice")
    return question, choice


def _show(item: ReviewItem) -> None:
    console.print(f"{item.item_id}  ({', '.join(item.reasons)})", markup=False)
    console.print(Panel(item.question, title="question"), markup=False)
    console.print(Panel(item.answer, title="answer"), markup=False)
    for one in item.rubric:
        console.print(f"{one.name}: {one.text} {'/'.join(one.choices)}", markup=False)


def _done(item: ReviewItem, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        console.print(f"{item.item_id}: {item.review_count} of {item.wanted_reviews} reviews")
