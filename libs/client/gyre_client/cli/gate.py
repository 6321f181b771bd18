"""`gyre gate`: may a candidate take the champion's place?"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gyre_client.cli.evaluation import candidate_of
from gyre_client.cli.output import (
    FAILED,
    INTERRUPTED,
    Json,
    console,
    print_json,
    print_whole,
    run,
    stderr,
)
from gyre_client.client import Gyre
from gyre_client.gates import Gate

app = typer.Typer(
    help="Hold a candidate against the champion by a declared policy.", no_args_is_help=True
)

GateId = Annotated[str, typer.Argument(help="The gate.")]
Workload = Annotated[str, typer.Argument(help="The workload, whose policy is in force.")]
PASS, FAIL, INSUFFICIENT = 0, 5, 6
CODES = (
    "Exit codes: 0 it may proceed, 1 it was stopped, 3 a service is unreachable, 4 not found, "
    "5 it fails, 6 insufficient data, 7 it passes and waits for a person."
)
WAITS = 7
COLOURS = {"pass": "green", "fail": "red", "insufficient": "yellow"}


@app.command()
def declare(
    file: Annotated[Path, typer.Argument(exists=True, help="The policy, YAML.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it, keep nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Declare what candidates of a workload must hold, before any of them is looked at.

    Example: gyre gate declare gate.yaml --dry-run
    """

    async def work() -> None:
        async with Gyre() as gyre:
            policy, is_new = await gyre.gates.declare(file.read_text("utf-8"), dry_run=dry_run)
        if as_json:
            print_json({"policy": policy, "is_new": is_new})
        elif dry_run:
            console.print(f"{policy.workload}: the policy is fine")
        else:
            state = "in force from now on" if is_new else "in force already"
            console.print(f"{policy.workload}@{policy.version} is {state}")

    run(work())


@app.command()
def policy(
    workload: Annotated[str, typer.Argument(help="Workload, or workload@version.")],
    as_json: Json = False,
) -> None:
    """Print a policy as it was declared.

    Example: gyre gate policy answer
    """
    name, _, version = workload.partition("@")

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.gates.policy(name, int(version or 0))
        if as_json:
            print_json(found)
        else:
            print(found.yaml, end="")

    run(work())


@app.command("run", epilog=CODES)
def run_command(
    workload: Workload,
    candidate: Annotated[
        str,
        typer.Option(
            help="Names its prompt, model or index: prompt=answer@2,model=m,temperature=0"
        ),
    ],
    champion: Annotated[str, typer.Option(help="What is in use, in the same way.")],
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    report_to: Annotated[
        Path | None, typer.Option("--report", help="Write the page or .json there.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return.")] = False,
    as_json: Json = False,
) -> None:
    """Ask champion and candidate all that the policy wants, and decide.

    Example: gyre gate run answer --candidate model=reader-2 --champion model=reader-1
    """
    new, old = candidate_of(candidate, ""), candidate_of(champion, "")

    async def work() -> int:
        async with Gyre() as gyre:
            started = await gyre.gates.start(workload, new, old, label=label)
            if detach:
                print_json(started) if as_json else console.print(started.gate_id)
                return 0
            ended = await _followed(gyre, started.gate_id, quiet=as_json)
            if report_to and ended.state == "decided":
                await _write(gyre, ended.gate_id, report_to)
        return _shown(ended, as_json=as_json)

    run(work())


@app.command(epilog=CODES)
def watch(gate_id: GateId, as_json: Json = False) -> None:
    """Follow a gate to its verdict.

    Example: gyre gate watch GATE
    """

    async def work() -> int:
        async with Gyre() as gyre:
            ended = await _followed(gyre, gate_id, quiet=as_json)
        return _shown(ended, as_json=as_json)

    run(work())


@app.command("list")
def list_command(
    workload: Annotated[str, typer.Option(help="Only of this workload.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
) -> None:
    """List the newest gates.

    Example: gyre gate list --workload answer
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.gates.list(workload, limit)
        if as_json:
            print_json(found)
            return
        table = Table("gate", "workload", "candidate", "state", "verdict", "may proceed")
        for one in found:
            proceeds = "yes" if one.may_proceed else "no"
            where = f"{one.workload}@{one.policy_version}"
            table.add_row(one.gate_id, where, escape(one.title), one.state, one.verdict, proceeds)
        console.print(table)

    run(work())


@app.command()
def cancel(gate_id: GateId, as_json: Json = False) -> None:
    """Stop a gate; it has no verdict then.

    Example: gyre gate cancel GATE
    """

    async def work() -> None:
        async with Gyre() as gyre:
            ended = await gyre.gates.cancel(gate_id)
        print_whole(ended, as_json)

    run(work())


@app.command()
def approve(
    gate_id: GateId,
    reason: Annotated[str, typer.Option(help="Why; kept with who and when.")],
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no instead.")] = False,
    as_json: Json = False,
) -> None:
    """Say yes, or no, to a gate that passed; the last word counts.

    Example: gyre gate approve GATE --reason "I read twenty of its answers"
    """

    async def work() -> None:
        async with Gyre() as gyre:
            gate = await gyre.gates.approve(gate_id, reason, granted=not refuse)
        if as_json:
            print_json(gate)
        else:
            console.print(f"{gate.gate_id} may {'' if gate.may_proceed else 'not '}proceed")

    run(work())


@app.command()
def report(
    gate_id: GateId,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .html page, or .json.")] = Path(
        "gate.html"
    ),
    as_json: Json = False,
) -> None:
    """Write the verdict with all of its evidence.

    Example: gyre gate report GATE --output gate.html
    """

    async def work() -> None:
        async with Gyre() as gyre:
            if as_json:
                print_json(json.loads(await gyre.gates.report(gate_id)))
            else:
                await _write(gyre, gate_id, output)

    run(work())


async def _followed(gyre: Gyre, gate_id: str, *, quiet: bool) -> Gate:
    """The gate at its end, with a bar meanwhile."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    last = await gyre.gates.get(gate_id)
    with Progress(*columns, console=stderr, disable=quiet) as bar:
        task = bar.add_task(escape(last.title), total=None)
        async for last in gyre.gates.watch(gate_id):
            bar.update(task, total=last.examples or None, completed=last.done)
    return last


def _shown(ended: Gate, *, as_json: bool) -> int:
    """Prints it; returns the exit code."""
    code = _code(ended)
    if as_json:
        print_json({"gate": ended, "exit_code": code})
        return code
    if ended.state != "decided":
        stderr.print(f"[red]gate {ended.gate_id} {ended.state}[/]")
        return code
    table = Table("part", "what", "slice", "champion", "candidate", "95 % interval", "pairs")
    table.add_column("verdict", no_wrap=True)
    table.add_column("why")
    for one in ended.checks:
        table.add_row(
            one.part,
            one.name,
            escape(one.slice),
            _number(one.champion),
            _number(one.candidate),
            "" if one.low is None else f"{_number(one.low)} to {_number(one.high)}",
            str(one.pairs),
            f"[{COLOURS[one.verdict]}]{one.verdict}[/]",
            escape(one.detail),
        )
    console.print(table)
    waits = ", and waits for a person: gyre gate approve" if code == WAITS else ""
    colour = COLOURS[ended.verdict]
    console.print(f"gate [bold]{ended.gate_id}[/]: [{colour}]{ended.verdict}[/]{waits}")
    return code


def _code(gate: Gate) -> int:
    if gate.state == "cancelled":
        return INTERRUPTED
    if gate.may_proceed:
        return PASS
    codes = {"fail": FAIL, "insufficient": INSUFFICIENT, "pass": WAITS}
    return codes.get(gate.verdict, FAILED)


async def _write(gyre: Gyre, gate_id: str, out: Path) -> None:
    data = await gyre.gates.report(gate_id, html=out.suffix != ".json")
    if out.suffix == ".json":
        data = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()
    await asyncio.to_thread(out.write_bytes, data)
    stderr.print(f"report: {out}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
