"""`gyre rollout`: a candidate goes to everybody by steps, or back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from gyre_client.cli.output import FAILED, Json, console, print_json, run, stderr
from gyre_client.client import Gyre
from gyre_client.rollouts import Rollout

app = typer.Typer(
    help="Roll out a model, an adapter or a prompt; watch it; promote or abort it.",
    no_args_is_help=True,
)
RolloutId = Annotated[str, typer.Argument(help="Id from `gyre rollout list`.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


@app.command("start")
def start_rollout(
    to: Annotated[str, typer.Option("--to", help="Model on the model server, or version.")],
    model: Annotated[str, typer.Option(help="Name that clients know; empty: the default.")] = "",
    prompt: Annotated[str, typer.Option(help="Prompt, instead of a model.")] = "",
    workload: Annotated[str, typer.Option(help="answer, generate, or a chain.")] = "answer",
    uri: Annotated[str, typer.Option(help="Folder in the model store, to place it.")] = "",
    step: Annotated[
        list[float] | None, typer.Option("--step", help="Share of a step; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="feedback.NAME or evaluation.NAME.")
    ] = None,
    minimum: Annotated[int, typer.Option(min=0, help="Judgements for each step.")] = 0,
    margin: Annotated[float, typer.Option(min=0, max=0.5, help="Worse by less is fine.")] = 0.0,
    shadow_pairs: Annotated[int, typer.Option(help="Pairs to compare first; 0: none.")] = -1,
    shadow_share: Annotated[float, typer.Option(help="Share of requests, 0 to 1.")] = -1.0,
    attended: Annotated[bool, typer.Option("--attended", help="A person promotes.")] = False,
    gated: Annotated[bool, typer.Option("--gated", help="Evaluation's gate passes first.")] = False,
    registered: Annotated[str, typer.Option(help="NAME/VERSION in the model registry.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Start a rollout; it goes on by itself, or waits for `promote` with --attended.

    Example: gyre rollout start --model gyre-reader --to llm-2026-05-04 --step 0.05 --step 0.5
    """
    plan: dict[str, Any] = {"steps": step or [], "metrics": metric or [], "attended": attended}
    plan |= {"minimum": minimum, "margin": margin, "gated": gated}
    plan |= {"shadow_pairs": shadow_pairs} if shadow_pairs >= 0 else {}
    plan |= {"shadow_share": shadow_share} if shadow_share >= 0 else {}
    words = {"workload": workload, "model_uri": uri, "plan": plan, "message": message}
    words |= {"model": registered}
    run(_start("prompt" if prompt else "model", to, prompt or model, words, as_json))


@app.command("list")
def list_rollouts(
    running: Annotated[bool, typer.Option("--running", help="Only those not over.")] = False,
    as_json: Json = False,
) -> None:
    """List rollouts, newest first.

    Example: gyre rollout list --running
    """
    run(_list(running, as_json))


@app.command("show")
def show_rollout(rollout_id: RolloutId, as_json: Json = False) -> None:
    """Show a rollout, its transitions and what is known now.

    Example: gyre rollout show rollout-0197
    """
    run(_show(rollout_id, as_json))


@app.command("watch")
def watch_rollout(rollout_id: RolloutId, as_json: Json = False) -> None:
    """Watch a rollout to its end; exit code 1 where it was taken back.

    Example: gyre rollout watch rollout-0197
    """
    run(_watch(rollout_id, as_json))


@app.command("promote")
def promote_rollout(
    rollout_id: RolloutId,
    fully: Annotated[bool, typer.Option("--fully", help="To everybody at once.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Promote the candidate by one step. From then on the service alone only takes back.

    Example: gyre rollout promote rollout-0197 --reason "looked at forty answers"
    """
    run(_promote(rollout_id, fully, reason, as_json))


@app.command("abort")
def abort_rollout(rollout_id: RolloutId, reason: Reason = "", as_json: Json = False) -> None:
    """Take the candidate back; also a promoted one while the one before it is kept.

    Example: gyre rollout abort rollout-0197 --reason "rude answers"
    """
    run(_abort(rollout_id, reason, as_json))


async def _start(
    kind: Literal["model", "prompt"], to: str, name: str, words: dict[str, Any], as_json: bool
) -> None:
    async with Gyre() as gyre:
        _print_one(await gyre.rollouts.start(kind, to, name=name, **words), as_json)


async def _list(running: bool, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = [one async for one in gyre.rollouts.list(running=running)]
    if as_json:
        print_json(found)
        return
    table = Table("rollout", "name", "champion", "candidate", "state", "gate", "weight", "started")
    for one in found:
        shown = ("rollout_id", "name", "champion", "candidate", "state")
        weight = f"{one.get('weight', 0):.0%}"
        gate = (one.get("gate_id") or "waits") if one.get("plan", {}).get("gated") else ""
        told = (str(one.get(name, "")) for name in shown)
        table.add_row(*told, gate, weight, one["start_time"])
    console.print(table)


async def _show(rollout_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print_one(await gyre.rollouts.get(rollout_id), as_json)


async def _watch(rollout_id: str, as_json: bool) -> int:
    told, state = 0, ""
    async with Gyre() as gyre:
        async for one in gyre.rollouts.watch(rollout_id):
            state = str(one["state"])
            if as_json:
                print_json(one)
                continue
            changes = one.get("changes", [])
            for change in changes[told:]:
                console.print(_change(change))
            told = len(changes)
            stderr.print(_numbers(one), end="\r", soft_wrap=True)
    return FAILED if state == "ROLLED_BACK" else 0


async def _promote(rollout_id: str, fully: bool, reason: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print_one(await gyre.rollouts.promote(rollout_id, fully=fully, reason=reason), as_json)


async def _abort(rollout_id: str, reason: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print_one(await gyre.rollouts.abort(rollout_id, reason=reason), as_json)


def _print_one(one: Rollout, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    console.print(f"[bold]{one['rollout_id']}[/]  {one['state']}  {one.get('weight', 0):.0%}")
    console.print(f"{one['name']}: {one['champion']} -> {one['candidate']} ({one['workload']})")
    if one.get("model"):
        console.print(f"model {one['model']} of the registry")
    if one["plan"].get("gated"):
        console.print(f"gated: {one.get('gate_id') or 'no verdict yet'}")
    for change in one.get("changes", []):
        console.print(_change(change))
    if "evidence" in one:
        console.print(_table(one["evidence"]))


def _change(change: Rollout) -> str:
    author = f" by {change['author']}" if change.get("author") else ""
    step = f" {change.get('weight', 0):.0%}" if change["to_state"] == "CANARY" else ""
    return (
        f"{change['change_time']}  {change['to_state']}{step}{author}: {escape(change['reason'])}"
    )


def _table(evidence: Rollout) -> Table:
    table = Table("metric", "champion", "n", "candidate", "n", "worse", "not worse", "verdict")
    for one in evidence.get("metrics", []):
        table.add_row(
            one["metric"],
            f"{one.get('champion_mean', 0):.3f}",
            str(one.get("champion_count", 0)),
            f"{one.get('candidate_mean', 0):.3f}",
            str(one.get("candidate_count", 0)),
            f"{one.get('worse', 0):.3g} of {one['worse_needed']:.3g}",
            f"{one.get('not_worse', 0):.3g} of {one['not_worse_needed']:.3g}",
            one["verdict"],
        )
    return table


def _numbers(one: Rollout) -> str:
    metrics = one.get("evidence", {}).get("metrics", [])
    return "  ".join(
        f"{each['metric']} {each.get('candidate_mean', 0):.2f} (n {each.get('candidate_count', 0)})"
        for each in metrics
    )
