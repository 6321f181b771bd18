"""`gyre drift`: is live traffic still like its reference, and how does it score?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.monitoring import LiveWindow, WatchedTraffic

app = typer.Typer(help="Watch live answers: drift and scores.", no_args_is_help=True)

Scope = Annotated[str, typer.Argument(help="Traffic, e.g. collection=manuals.")]


@app.command("list")
def list_traffic(as_json: Json = False) -> None:
    """List traffic that is watched, and what came of its newest window.

    Example: gyre drift list
    """
    run(_list(as_json))


@app.command("show")
def show(
    scope: Scope,
    windows: Annotated[int, typer.Option(min=1, max=100, help="Newest windows shown.")] = 10,
    as_json: Json = False,
) -> None:
    """Show what was tested in each window, strongest first, with answers that show it.

    Example: gyre drift show collection=manuals --windows 3
    """
    run(_show(scope, windows, as_json))


@app.command("reset")
def reset(
    scope: Scope,
    as_json: Json = False,
) -> None:
    """Make what comes from now on the new normal, e.g. after a change that was meant.

    Example: gyre drift reset collection=manuals
    """
    run(_reset(scope, as_json))


@app.command("windows")
def windows(
    group_by: Annotated[
        str, typer.Option("--by", help="prompt, model, variant, collection, language, a label.")
    ] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Only these; repeatable.")] = None,
    hours: Annotated[int, typer.Option(min=1, help="The last so many hours.")] = 24,
    as_json: Json = False,
) -> None:
    """Show the scores of live answers by window and group, with 95 % intervals.

    Example: gyre drift windows --by prompt --metric groundedness
    """
    run(_windows(group_by, metric or [], hours, as_json))


async def _list(as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.monitoring.traffic(windows=1)
    if as_json:
        print_json(found)
        return
    table = Table("traffic", "answers", "reference", "newest window")
    for one in found:
        known = min(one.answers, one.reference_size)
        table.add_row(one.scope, str(one.answers), f"{known}/{one.reference_size}", _newest(one))
    console.print(table if found else "No answers were scored yet.")


def _newest(traffic: WatchedTraffic) -> str:
    if not traffic.checks:
        return "none is full yet"
    check = traffic.checks[0]
    if not check.drifted:
        return f"#{check.window}: like the reference"
    return f"[red]#{check.window}: {check.findings[0].detail}[/]"


async def _show(scope: str, windows: int, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.monitoring.traffic(scope, windows=windows)
    if as_json:
        print_json(found)
        return
    table = Table("window", "until", "what", "p", "answers that show it", show_lines=True)
    for check in [check for one in found for check in one.checks]:
        for finding in check.findings[:5]:
            ids = "\n".join(finding.answer_ids[:3])
            cells = f"#{check.window}", f"{check.end:%Y-%m-%d %H:%M}", finding.detail
            table.add_row(*cells, f"{finding.p_value:.1g}", ids)
    console.print(table if table.row_count else f"No window of {scope!r} was compared yet.")


async def _reset(scope: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        await gyre.monitoring.reset_reference(scope)
    if as_json:
        print_json({"scope": scope})
    else:
        console.print(f"The next answers of {scope} are its new reference.", markup=False)


async def _windows(group_by: str, metrics: list[str], hours: int, as_json: bool) -> None:
    start = datetime.now(UTC) - timedelta(hours=hours)
    async with Gyre() as gyre:
        asked = gyre.monitoring.windows(group_by=group_by, metrics=metrics, start=start)
        found = [window async for window in asked]
    if as_json:
        print_json(found)
        return
    console.print(_table(found) if found else "No answers were scored in this time.")


def _table(windows: list[LiveWindow]) -> Table:
    table = Table("from", "group", "metric", "answers", "mean", "95 %")
    for window in windows:
        group = " ".join(f"{key}={value}" for key, value in window.slice.items())
        for one in window.metrics:
            known = one.low is not None and one.high is not None
            interval = f"{one.low:.3f} to {one.high:.3f}" if known else ""
            cells = f"{window.start:%m-%d %H:%M}", group, one.metric, str(one.count)
            table.add_row(*cells, f"{one.mean:.3f}", interval)
    return table
