"""`gyre experiments`: shares of the traffic for variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.cli.versioned import values_of
from gyre_client.client import Gyre
from gyre_client.experiments import Experiment, KnownExperiment

_WIDTH = 20

app = typer.Typer(help="Start, look at, list and stop experiments.", no_args_is_help=True)


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


@app.command("show")
def show_experiment(
    experiment_id: Annotated[str, typer.Argument(help="Id from `gyre experiments list`.")],
    as_json: Json = False,
) -> None:
    """Show what is known of each variant, and shares over time.

    Example: gyre experiments show tone
    """
    run(_show(experiment_id, as_json))


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


async def _show(experiment_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.experiments.get(experiment_id)
    if as_json:
        print_json(found)
        return
    _print([found["experiment"]], as_json=False)
    if "known" in found:
        _print_known(found)


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


def _print_known(found: KnownExperiment) -> None:
    allocation = found["experiment"]["allocation"]
    console.print(
        f"{allocation['method']} on {allocation['metric']}, "
        f"at least {allocation['floor']:.0%} each, "
        f"after {allocation['minimum']} judgements of each"
    )
    table = Table("variant", "share", "judgements", "mean", "95 % of belief", "best with")
    for one in found["known"]["variants"]:
        table.add_row(
            one["name"],
            f"{one['share']:.1%}",
            one.get("count", "0"),
            f"{one.get('mean', 0):.3f}" if "count" in one else "",
            f"{one['low']:.3f} to {one['high']:.3f}",
            f"{one.get('best', 0):.1%}",
        )
    console.print(table)
    for line in _shares(found.get("weighings", ())):
        console.print(line)


def _shares(weighings: list[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each time, oldest first, each variant with a bar."""
    for one in reversed(weighings):
        shares = (
            f"{variant['name']} {variant['share']:>6.1%} "
            f"{'█' * round(variant['share'] * _WIDTH):<{_WIDTH}}"
            for variant in one["variants"]
        )
        yield f"{one['number']:>4} {one['weigh_time'][:19]}Z  {'  '.join(shares)}"
