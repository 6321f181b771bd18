"""`gyre alerts`: what needs attention, and that somebody has seen to it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, print_whole, run
from gyre_client.client import Gyre
from gyre_client.monitoring import Alert

app = typer.Typer(help="See what needs attention, and see to it.", no_args_is_help=True)

OPEN_ALERTS = 2
AlertId = Annotated[str, typer.Argument(help="Id from `gyre alerts list`.")]


@app.command("list")
def list_alerts(
    all_alerts: Annotated[
        bool, typer.Option("--all", help="Those that somebody has seen to, too.")
    ] = False,
    kind: Annotated[str, typer.Option(help="injection, extraction, volume, ...")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List alerts, newest first.

    Example: gyre alerts list --kind drift
    """
    run(_list(kind, limit, as_json, open_only=not all_alerts))


@app.command("acknowledge")
def acknowledge(
    alert_id: AlertId,
    comment: Annotated[str, typer.Option(help="For those who come later.")] = "",
    as_json: Json = False,
) -> None:
    """Say that you have seen to an alert; a caller that it holds is let go.

    Example: gyre alerts acknowledge 0f6f3c1e-0000-5000-8000-000000000000 --comment "our own test"
    """
    run(_acknowledge(alert_id, comment, as_json))


@app.command("check")
def check(
    as_json: Json = False,
) -> None:
    """End with 2 while an alert is open, with 0 when there is none: for scripts and probes.

    Example: gyre alerts check
    """
    run(_check(as_json))


async def _list(kind: str, limit: int, as_json: bool, *, open_only: bool) -> None:
    found: list[Alert] = []
    async with Gyre() as gyre:
        async for alert in gyre.monitoring.alerts(open_only=open_only):
            if kind in ("", alert.kind):
                found.append(alert)
            if len(found) == limit:
                break
    if as_json:
        print_json(found)
        return
    console.print(_table(found) if found else "There are no alerts.")


async def _acknowledge(alert_id: str, comment: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        print_whole(await gyre.monitoring.acknowledge(alert_id, comment), as_json)


async def _check(as_json: bool) -> int:
    async with Gyre() as gyre:
        opened = len([one async for one in gyre.monitoring.alerts(open_only=True)])
    if as_json:
        print_json({"open": opened})
    else:
        console.print(f"{opened} open; `gyre alerts list` shows them" if opened else "All is well.")
    return OPEN_ALERTS if opened else 0


def _table(alerts: list[Alert]) -> Table:
    table = Table("time", "what", "who or where", "detail", "id", show_lines=True)
    for one in alerts:
        held = f"\nheld until {one.until:%H:%M:%S} UTC" if one.until else ""
        who = " / ".join(filter(None, (one.principal, one.end_user, one.slice))) + held
        again = f" (and {one.repeats} times again)" if one.repeats else ""
        seen = f"\nseen to by {one.acknowledged_by}" if one.acknowledged_by else ""
        what = f"{one.kind}\n{one.severity}"
        table.add_row(
            f"{one.time:%Y-%m-%d %H:%M}", what, who, one.detail + again, one.alert_id + seen
        )
    return table
