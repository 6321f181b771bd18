"""`gyre experiments`: shares of the traffic for variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.cli.versioned import values_of
from gyre_client.client import Gyre
from gyre_client.experiments import Experiment

app = typer.Typer(help="Start, list and stop experiments.", no_args_is_help=True)


@app.command("start")
def start_experiment(
    file: Annotated[Path, typer.Argument(exists=True, help="YAML: experiment_id, workload, ...")],
    as_json: Json = False,
) -> None:
    """Start the experiment that a file describes; again it changes nothing.

    Example: gyre experiments start tone.yaml
    """
    run(_start(file, as_json))


@app.command("list")
def list_experiments(
    running: Annotated[bool, typer.Option("--running", help="Only those that run.")] = False,
    as_json: Json = False,
) -> None:
    """List experiments, newest first.

    Example: gyre experiments list --running
    """
    run(_list(running, as_json))


@app.command("stop")
def stop_experiment(
    experiment_id: Annotated[str, typer.Argument(help="Id from `gyre experiments list`.")],
    as_json: Json = False,
) -> None:
    """Stop an experiment; it shapes no further answer.

    Example: gyre experiments stop tone
    """
    run(_stop(experiment_id, as_json))


async def _start(file: Path, as_json: bool) -> None:
    data = values_of(file, ())
    async with Gyre() as gyre:
        _print([await gyre.experiments.start(data)], as_json)


async def _list(running: bool, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print([one async for one in gyre.experiments.list(running=running)], as_json)


async def _stop(experiment_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print([await gyre.experiments.stop(experiment_id)], as_json)


def _print(experiments: list[Experiment], as_json: bool) -> None:
    if as_json:
        print_json(experiments)
        return
    table = Table("experiment", "workload", "variants", "sticky by", "started", "stopped")
    for one in experiments:
        variants = ", ".join(f"{v['name']} {v.get('weight', 0):g}" for v in one["variants"])
        table.add_row(
            one["experiment_id"],
            one["workload"],
            variants,
            one.get("sticky_by", ""),
            one.get("start_time", ""),
            one.get("stop_time", "runs"),
        )
    console.print(table)
