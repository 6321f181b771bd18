"""`gyre eval`: datasets, runs, comparisons and reports, and a gate for any CI by exit code."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gyre_client.cli import evaluation_data
from gyre_client.cli.evaluation_gate import (
    Gate,
    Require,
    gate_help,
    judged_differences,
    judged_requirements,
)
from gyre_client.cli.output import FAILED, INTERRUPTED, Json, console, print_json, run, stderr
from gyre_client.client import Gyre
from gyre_client.evaluation import Comparison, Difference, Run, Target, TargetKind

app = typer.Typer(
    help="Score prompts, models and chains on datasets; compare them; gate a CI on it.",
    no_args_is_help=True,
)
app.add_typer(evaluation_data.app, name="datasets")

DatasetName = Annotated[str, typer.Argument(help="Dataset, or dataset@version.")]
Runs = Annotated[list[str], typer.Argument(help="Run ids; the first one is the baseline.")]
Prompt = Annotated[str, typer.Option(help="Prompt, or prompt@version; a label is a version too.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", "-m", help="Repeatable; none means all that fit.")
]
KINDS: tuple[TargetKind, ...] = ("answer", "generate", "chain", "recorded", "search")


@app.command("run", epilog=gate_help())
def run_command(
    dataset: DatasetName,
    prompt: Prompt = "",
    model: Annotated[str, typer.Option(help="Model on the model server.")] = "",
    chain: Annotated[str, typer.Option(help="Chain, or chain@version, instead of Answer.")] = "",
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")] = "",
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Collection to answer from.")
    ] = "",
    index: Annotated[str, typer.Option(help="Physical index, for --kind search.")] = "",
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = None,
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
    metric: Metrics = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many examples; 0 is all.")] = 0,
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    baseline: Annotated[str, typer.Option(help="Run to compare with at the end.")] = "",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ask anew.")] = False,
    require: Require = None,
    margin: Annotated[float, typer.Option(min=0.0, help="Worse by up to this is a pass.")] = 0.0,
    report: Annotated[Path | None, typer.Option(help="Write the page or .json there.")] = None,
    as_json: Json = False,
) -> None:
    """Run a prompt, model, chain or search on a dataset and show what it came to.

    Example: gyre eval run questions --prompt answer@candidate --require "groundedness>=0.7"
    """
    target = target_of(kind, prompt, model, chain, collection, temperature, index)
    gate = Gate.read(require or [], baseline, margin)
    name, version = split_version(dataset)

    async def work() -> int:
        async with Gyre() as gyre:
            started = await gyre.evaluation.start_run(
                name,
                target,
                version=int(version or 0),
                split=split,
                metrics=metric or (),
                label=label,
                limit=limit,
                ignore_cache=no_cache,
                baseline_run_id=baseline,
            )
            ended = await followed(gyre, started, quiet=as_json)
            if ended.state != "succeeded":
                stderr.print(f"[red]run {ended.run_id} {ended.state}[/] {ended.detail}")
                return INTERRUPTED if ended.state == "cancelled" else FAILED
            compared = None
            if baseline:
                found = await gyre.evaluation.compare([baseline, ended.run_id], margin=margin)
                compared = found[0]
            if report:
                await write_report(gyre, [ended.run_id], report)
            return shown(ended, compared, gate, as_json=as_json)

    run(work())


@app.command(epilog=gate_help())
def compare(
    runs: Runs,
    metric: Metrics = None,
    margin: Annotated[float, typer.Option(min=0.0, help="Worse by up to this is a pass.")] = 0.0,
    report: Annotated[Path | None, typer.Option(help="Write the page or .json there.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs on the same dataset version with the first one.

    Example: gyre eval compare BASELINE CANDIDATE --metric groundedness --margin 0.02
    """

    async def work() -> int:
        async with Gyre() as gyre:
            found = await gyre.evaluation.compare(runs, metrics=metric or (), margin=margin)
            if report:
                await write_report(gyre, runs, report)
        if as_json:
            print_json(found)
        for one in () if as_json else found:
            console.print(differences_table(one))
        return max(judged_differences(one.differences) for one in found)

    run(work())


@app.command()
def select(
    dataset: DatasetName,
    candidate: Annotated[
        list[str],
        typer.Option(
            help="Repeatable, the first is the baseline: prompt=answer@2,model=m,temperature=0"
        ),
    ],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Collection to answer from.")
    ] = "",
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
    metric: Metrics = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many examples; 0 is all.")] = 0,
    report: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("selection.html"),
    as_json: Json = False,
) -> None:
    """Run several models and prompts on your own data: quality, speed and cost in one table.

    Example: gyre eval select questions --candidate prompt=answer --candidate prompt=answer-free
    """
    targets = [candidate_of(one, collection) for one in candidate]
    name, version = split_version(dataset)

    async def work() -> int:
        async with Gyre() as gyre:
            ended = []
            for target in targets:
                started = await gyre.evaluation.start_run(
                    name,
                    target,
                    version=int(version or 0),
                    split=split,
                    metrics=metric or (),
                    limit=limit,
                )
                ended.append(await followed(gyre, started, quiet=as_json))
            good = [one for one in ended if one.state == "succeeded"]
            for one in ended:
                if one.state != "succeeded":
                    stderr.print(f"[red]{one.title} {one.state}[/] {one.detail}")
            if len(good) > 1:
                await write_report(gyre, [one.run_id for one in good], report)
        if as_json:
            print_json(ended)
        elif good:
            console.print(selection_table(good))
        return 0 if len(good) == len(ended) else FAILED

    run(work())


@app.command()
def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .html page, or .json.")] = Path(
        "report.html"
    ),
    as_json: Json = False,
) -> None:
    """Write the report of a run, or of several side by side; --json prints it.

    Example: gyre eval report RUN --out report.html
    """

    async def work() -> None:
        async with Gyre() as gyre:
            if as_json:
                print_json(json.loads(await gyre.evaluation.report(runs)))
            else:
                await write_report(gyre, runs, out)

    run(work())


@app.command("runs")
def runs_command(
    dataset: Annotated[str, typer.Option(help="Only runs on this dataset.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
) -> None:
    """List the newest runs.

    Example: gyre eval runs --dataset questions
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.evaluation.runs(dataset, limit)
        if as_json:
            print_json(found)
            return
        table = Table("run", "what", "dataset", "state", "done")
        for one in found:
            where = f"{one.dataset}@{one.dataset_version}"
            done = f"{one.done} of {one.examples}"
            table.add_row(one.run_id, one.title, where, one.state, done)
        console.print(table)

    run(work())


@app.command()
def cancel(run_id: Annotated[str, typer.Argument(help="The run.")], as_json: Json = False) -> None:
    """Stop a run; what was scored stays.

    Example: gyre eval cancel RUN
    """

    async def work() -> None:
        async with Gyre() as gyre:
            ended = await gyre.evaluation.cancel_run(run_id)
        if as_json:
            print_json(ended)
        else:
            console.print(f"{ended.run_id} is {ended.state}, {ended.done} of {ended.examples} done")

    run(work())


@app.command()
def metrics(as_json: Json = False) -> None:
    """List every metric: what it says, what it needs, which way is better.

    Example: gyre eval metrics
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.evaluation.metrics()
        if as_json:
            print_json(found)
            return
        table = Table("metric", "better", "needs", "what it says")
        for one in found:
            needs = ", ".join(one.needs) or "-"
            table.add_row(one.name, one.direction, needs, one.description)
        console.print(table)

    run(work())


async def followed(gyre: Gyre, started: Run, *, quiet: bool) -> Run:
    """The run at its end, with a bar meanwhile."""
    last = started
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, disable=quiet) as bar:
        task = bar.add_task(started.title, total=None, note="")
        async for last in gyre.evaluation.watch_run(started.run_id):
            notes = {"cached": last.cached, "failed": last.failures}
            note = ", ".join(f"{count} {name}" for name, count in notes.items() if count)
            bar.update(task, total=last.examples or None, completed=last.done, note=note)
    return last


def shown(ended: Run, compared: Comparison | None, gate: Gate, *, as_json: bool) -> int:
    """Prints the run; returns the gate's exit code."""
    code, verdicts = judged_requirements(ended, gate)
    if compared is not None:
        code = max(code, judged_differences(compared.differences))
    if as_json:
        print_json({"run": ended, "comparison": compared, "gate": verdicts, "exit_code": code})
        return code
    console.print(summary_table(ended))
    if compared is not None:
        console.print(differences_table(compared))
    for verdict in verdicts:
        console.print(verdict.line)
    console.print(f"run [bold]{ended.run_id}[/]")
    return code


async def write_report(gyre: Gyre, run_ids: Sequence[str], out: Path) -> None:
    data = await gyre.evaluation.report(run_ids, html=out.suffix != ".json")
    if out.suffix == ".json":
        data = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()
    await asyncio.to_thread(out.write_bytes, data)
    stderr.print(f"report: {out}")


def summary_table(one: Run) -> Table:
    table = Table("metric", "better", "mean", "95 % interval", "scored")
    for found in one.summaries:
        scored = f"{found.count}" + (f" ({found.errors} failed)" if found.errors else "")
        better = {"higher": "↑", "lower": "↓"}.get(found.direction, "")
        ends = _ends(found.low, found.high)
        table.add_row(found.metric, better, _number(found.mean), ends, scored)
    table.caption = _costs(one)
    return table


def differences_table(one: Comparison) -> Table:
    table = difference_rows(one.differences, ("baseline", "candidate"))
    table.title = f"{one.candidate.title} against {one.baseline.title}"
    return table


def difference_rows(differences: Sequence[Difference], sides: tuple[str, str]) -> Table:
    """sides: what the two are called."""
    table = Table("metric", *sides)
    for name in ("difference (95 % interval)", "pairs", "verdict"):
        table.add_column(name, no_wrap=True)
    colours = {"better": "green", "worse": "red", "insufficient": "yellow"}
    for found in differences:
        colour = colours.get(found.verdict, "blue")
        table.add_row(
            found.metric,
            _number(found.baseline),
            _number(found.candidate),
            _with_ends(found.difference, found.low, found.high),
            str(found.pairs),
            f"[{colour}]{found.verdict.replace('_', ' ')}[/]",
        )
    return table


def selection_table(runs: Sequence[Run]) -> Table:
    """A column for each run; the page holds intervals and differences."""
    table = Table("", *(one.title for one in runs))
    names = dict.fromkeys(found.metric for one in runs for found in one.summaries)
    for name in names:
        means = ({found.metric: found.mean for found in one.summaries}.get(name) for one in runs)
        table.add_row(name, *map(_number, means))
    table.add_section()
    table.add_row("median answer", *(f"{one.latency_p50:.2f} s" for one in runs))
    table.add_row("95 in 100 within", *(f"{one.latency_p95:.2f} s" for one in runs))
    table.add_row("tokens out", *(f"{one.output_tokens:,}" for one in runs))
    costs = (one.cost for one in runs)
    table.add_row("cost", *("-" if cost is None else f"{cost:.4f}" for cost in costs))
    table.add_row("without an answer", *(f"{one.failures} of {one.examples}" for one in runs))
    return table


def target_of(
    kind: str,
    prompt: str,
    model: str,
    chain: str,
    collection: str,
    temperature: float | None,
    index: str = "",
) -> Target:
    """What names a chain or an index needs no kind. Raises typer.BadParameter."""
    chosen = kind or ("chain" if chain else "search" if index else "answer")
    if chosen not in KINDS:
        raise typer.BadParameter(f"--kind is one of {', '.join(KINDS)}")
    prompt_name, prompt_version = split_version(prompt)
    chain_name, chain_version = split_version(chain)
    return Target(
        kind=chosen,
        prompt_name=prompt_name,
        prompt_version=prompt_version,
        model=model,
        chain=chain_name,
        chain_version=chain_version,
        collection=collection,
        temperature=temperature,
        index=index,
    )


def candidate_of(text: str, collection: str) -> Target:
    """`prompt=answer@2,model=m,temperature=0`. Raises typer.BadParameter."""
    given = dict(part.split("=", 1) for part in re.split(r"\s*,\s*", text) if "=" in part)
    unknown = given.keys() - {
        "prompt",
        "model",
        "chain",
        "kind",
        "temperature",
        "collection",
        "index",
    }
    if unknown or not given:
        raise typer.BadParameter(
            f'--candidate "{text}": give prompt=, model=, chain=, index=, kind=, ...'
        )
    heat = float(given["temperature"]) if "temperature" in given else None
    return target_of(
        given.get("kind", ""),
        given.get("prompt", ""),
        given.get("model", ""),
        given.get("chain", ""),
        given.get("collection", collection),
        heat,
        given.get("index", ""),
    )


def split_version(text: str) -> tuple[str, str]:
    name, _, version = text.partition("@")
    return name, version


def _costs(one: Run) -> str:
    cost = "" if one.cost is None else f", cost {one.cost:.4f}"
    return (
        f"{one.done} examples, {one.failures} without an answer, {one.cached} from the cache; "
        f"median {one.latency_p50:.2f} s, 95 in 100 within {one.latency_p95:.2f} s{cost}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    return f"{_number(value)} ({_ends(low, high)})" if low is not None else _number(value)
