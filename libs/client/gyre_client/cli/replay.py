"""`gyre replay`: history through a new prompt, model or collection."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gyre_client.cli.evaluation import difference_rows, split_version
from gyre_client.cli.evaluation_gate import judged_differences
from gyre_client.cli.output import FAILED, INTERRUPTED, Json, console, print_json, run, stderr
from gyre_client.client import Gyre
from gyre_client.evaluation import Target
from gyre_client.replays import Answers, Replay

app = typer.Typer(
    help="Give recorded answers again, with something changed, and compare.", no_args_is_help=True
)

ReplayId = Annotated[str, typer.Argument(help="The replay.")]
CODES = (
    "Exit codes: 0 nothing is worse, 1 it failed, 3 a service is unreachable, 4 not found, "
    "5 something is worse, 6 insufficient data."
)


@app.command(epilog=CODES)
def start(
    prompt: Annotated[str, typer.Option(help="New prompt, or prompt@version or @label.")] = "",
    model: Annotated[str, typer.Option(help="New model on the model server.")] = "",
    to_collection: Annotated[
        str, typer.Option(help="Search there, e.g. in what another chunker made.")
    ] = "",
    search_again: Annotated[
        bool, typer.Option("--search-again", help="Find passages anew; else those recorded.")
    ] = False,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Only answers from this one.")
    ] = "",
    from_prompt: Annotated[
        str, typer.Option(help="Only answers of prompt, or prompt@version.")
    ] = "",
    from_model: Annotated[str, typer.Option(help="Only answers of this model.")] = "",
    language: Annotated[str, typer.Option(help="Only questions in this language.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Asked at or after (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Asked before (UTC).")] = None,
    refused: Annotated[
        bool | None, typer.Option("--refused/--answered", help="Only refusals, or none of them.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 1000,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Repeatable; none means all.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0.0, help="Worse by up to this is a pass.")] = 0.0,
    concurrency: Annotated[int, typer.Option(min=0, help="Answers asked for at once.")] = 0,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask anew.")] = False,
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    report_to: Annotated[
        Path | None, typer.Option("--report", help="Write the page or .json there.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return.")] = False,
    as_json: Json = False,
) -> None:
    """Give recorded answers again through a new prompt, model or collection.

    Example: gyre replay start --prompt answer@candidate --since 2026-11-20 --report replay.html
    """
    if to_collection and not search_again:
        raise typer.BadParameter("--to-collection needs --search-again")
    name, version = split_version(prompt)
    target = Target(
        prompt_name=name,
        prompt_version=version,
        model=model,
        collection=to_collection,
        temperature=temperature,
    )
    old_name, old_version = split_version(from_prompt)
    answers = Answers(
        collection=collection,
        prompt_name=old_name,
        prompt_version=old_version,
        model=from_model,
        language=language,
        since=_utc(since),
        until=_utc(until),
        refused=refused,
        limit=limit,
    )

    async def work() -> int:
        async with Gyre() as gyre:
            started = await gyre.replays.start(
                target,
                answers,
                search_again=search_again,
                metrics=metric or (),
                margin=margin,
                concurrency=concurrency,
                ignore_cache=no_cache,
                label=label,
            )
            if detach:
                print_json(started) if as_json else console.print(started.replay_id)
                return 0
            ended = await _followed(gyre, started.replay_id, quiet=as_json)
            if report_to and ended.state == "succeeded":
                await _write(gyre, ended.replay_id, report_to)
        return _shown(ended, as_json=as_json)

    run(work())


@app.command(epilog=CODES)
def watch(replay_id: ReplayId, as_json: Json = False) -> None:
    """Follow a replay to its end and show what it came to.

    Example: gyre replay watch REPLAY
    """

    async def work() -> int:
        async with Gyre() as gyre:
            ended = await _followed(gyre, replay_id, quiet=as_json)
        return _shown(ended, as_json=as_json)

    run(work())


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20, as_json: Json = False
) -> None:
    """List the newest replays.

    Example: gyre replay list
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.replays.list(limit)
        if as_json:
            print_json(found)
            return
        table = Table("replay", "what", "state", "done", "changed", "refusals")
        for one in found:
            refusals = f"+{one.refusals_gained} -{one.refusals_lost}"
            done = f"{one.done} of {one.answers}"
            table.add_row(one.replay_id, one.title, one.state, done, str(one.changed), refusals)
        console.print(table)

    run(work())


@app.command()
def cancel(replay_id: ReplayId, as_json: Json = False) -> None:
    """Stop a replay; what was answered stays.

    Example: gyre replay cancel REPLAY
    """

    async def work() -> None:
        async with Gyre() as gyre:
            ended = await gyre.replays.cancel(replay_id)
        if as_json:
            print_json(ended)
        else:
            console.print(f"{ended.replay_id} is {ended.state}, {ended.done} of {ended.answers}")

    run(work())


@app.command()
def report(
    replay_id: ReplayId,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .html page, or .json.")] = Path(
        "replay.html"
    ),
    as_json: Json = False,
) -> None:
    """Write what a replay came to: differences, and both answers side by side.

    Example: gyre replay report REPLAY --output replay.html
    """

    async def work() -> None:
        async with Gyre() as gyre:
            if as_json:
                print_json(json.loads(await gyre.replays.report(replay_id)))
            else:
                await _write(gyre, replay_id, output)

    run(work())


async def _followed(gyre: Gyre, replay_id: str, *, quiet: bool) -> Replay:
    """The replay at its end, with a bar meanwhile."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    last = await gyre.replays.get(replay_id)
    with Progress(*columns, console=stderr, disable=quiet) as bar:
        task = bar.add_task(last.title, total=None, note="")
        async for last in gyre.replays.watch(replay_id):
            note = f"{last.failures} failed" if last.failures else last.state
            bar.update(task, total=last.answers or None, completed=last.done, note=note)
    return last


def _shown(ended: Replay, *, as_json: bool) -> int:
    """Prints it; returns the exit code."""
    code = judged_differences(ended.differences) if ended.state == "succeeded" else FAILED
    if ended.state == "cancelled":
        code = INTERRUPTED
    if as_json:
        print_json({"replay": ended, "exit_code": code})
        return code
    if ended.state != "succeeded":
        stderr.print(f"[red]replay {ended.replay_id} {ended.state}[/] {ended.detail}")
        return code
    table = difference_rows(ended.differences, ("recorded", "replayed"))
    table.title = f"{ended.title}, against what was recorded"
    table.caption = _counts(ended)
    console.print(table)
    console.print(f"replay [bold]{ended.replay_id}[/]")
    return code


def _counts(ended: Replay) -> str:
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(ended.left_out.items()))
    return (
        f"{ended.done} answers, {ended.failures} without a new one, {ended.changed} with another "
        f"text; refusals: {ended.refusals_gained} gained, {ended.refusals_lost} lost"
        + (f"; left out: {left}" if left else "")
    )


async def _write(gyre: Gyre, replay_id: str, out: Path) -> None:
    data = await gyre.replays.report(replay_id, html=out.suffix != ".json")
    if out.suffix == ".json":
        data = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()
    await asyncio.to_thread(out.write_bytes, data)
    stderr.print(f"report: {out}")


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
