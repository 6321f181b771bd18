"""`gyre index`: an index for another embedder, filled, compared, switched to and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run, stderr
from gyre_client.client import Gyre
from gyre_client.indexes import Compared, Interval, JudgedQuery, Latencies, Reindex

app = typer.Typer(
    help="Indexes for other embedding models: fill, compare, switch, switch back.",
    no_args_is_help=True,
)
MODES = ("hybrid", "dense", "lexical")
Id = Annotated[str, typer.Argument(help="Id from `gyre index list`.")]
Reason = Annotated[str, typer.Option(help="Why, for people.")]


@app.command("reindex")
def reindex_command(
    embedder: Annotated[str, typer.Argument(help="Embedding model on the model server.")],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Collection to use.")
    ] = "default",
    reason: Reason = "",
    gated: Annotated[
        bool, typer.Option("--gated", help="Evaluation's gate decides over the switch.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Show a bar until the index is filled.")] = True,
    as_json: Json = False,
) -> None:
    """Fill an index for another embedder; searches stay with the one in use.

    Example: gyre index reindex minilm-judged-3 --collection help
    """
    run(_reindex(collection, embedder, reason, gated, wait, as_json))


@app.command("list")
def list_command(
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Only of this collection.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List reindexings, newest first.

    Example: gyre index list
    """
    run(_list(collection, as_json))


@app.command("show")
def show_command(reindex_id: Id, as_json: Json = False) -> None:
    """Show progress, and what live searches and judgements say of both indexes.

    Example: gyre index show 01890a5d-ac96-774b-bcce-b302099a8057
    """
    run(_show(reindex_id, as_json))


@app.command("compare")
def compare_command(
    reindex_id: Id,
    queries: Annotated[
        Path,
        typer.Argument(exists=True, help='JSON lines: {"query": ..., "relevant_chunk_ids": [...]}'),
    ],
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "hybrid",
    as_json: Json = False,
) -> None:
    """Ask both indexes judged queries; the result is kept with the reindexing.

    Example: gyre index compare 01890a5d-ac96-774b-bcce-b302099a8057 judged.jsonl --mode dense
    """
    if mode not in MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(MODES)}")
    run(_compare(reindex_id, _queries(queries), mode, as_json))


@app.command("switch")
def switch_command(
    reindex_id: Id,
    back: Annotated[bool, typer.Option("--back", help="Use the index before again.")] = False,
    as_json: Json = False,
) -> None:
    """Answer searches from the filled index, in every process at once; or from the one before.

    Example: gyre index switch 01890a5d-ac96-774b-bcce-b302099a8057
    """
    run(_switch(reindex_id, back, as_json))


@app.command("abort")
def abort_command(reindex_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Give up an index that is not in use; it is removed.

    Example: gyre index abort 01890a5d-ac96-774b-bcce-b302099a8057 --reason "no better"
    """
    run(_abort(reindex_id, reason, as_json))


async def _reindex(
    collection: str, embedder: str, reason: str, gated: bool, wait: bool, as_json: bool
) -> None:
    async with Gyre() as gyre:
        reindex = await gyre.indexes.start(collection, embedder, reason=reason, gated=gated)
        if wait:
            with _bar(as_json) as bar:
                task = bar.add_task(reindex.index.name, total=None)
                async for seen in gyre.indexes.watch(reindex.reindex_id):
                    bar.update(task, completed=seen.chunks_done, total=seen.chunks_total)
                    reindex = seen
        _print(reindex, as_json)


async def _list(collection: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = [one async for one in gyre.indexes.list(collection=collection)]
    if as_json:
        print_json(found)
        return
    table = Table(
        "reindex", "collection", "state", "by", "embedder", "before", "started", "kept until"
    )
    for one in found:
        kept = str(one.keep_until_time or "") if one.state == "switched" else ""
        table.add_row(
            one.reindex_id,
            one.collection,
            one.state,
            "gate" if one.gated else "person",
            one.index.embedder,
            one.previous.embedder,
            str(one.start_time),
            kept,
        )
    console.print(table)


async def _show(reindex_id: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print(await gyre.indexes.get(reindex_id), as_json)


async def _compare(reindex_id: str, queries: list[JudgedQuery], mode: Any, as_json: bool) -> None:
    async with Gyre() as gyre:
        with _bar(as_json) as bar:
            task = bar.add_task("queries", total=len(queries))
            await gyre.indexes.compare(
                reindex_id,
                queries,
                mode=mode,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        _print(await gyre.indexes.get(reindex_id), as_json)


async def _switch(reindex_id: str, back: bool, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print(await gyre.indexes.switch(reindex_id, back=back), as_json)


async def _abort(reindex_id: str, reason: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _print(await gyre.indexes.abort(reindex_id, reason=reason), as_json)


def _queries(path: Path) -> list[JudgedQuery]:
    found = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.append(JudgedQuery(str(row["query"]), list(map(str, row["relevant_chunk_ids"]))))
        except (ValueError, KeyError, TypeError) as error:
            raise typer.BadParameter(f"{path}, line {number}: {error!r}") from error
    return found


def _bar(quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=stderr, disable=quiet)


def _print(reindex: Reindex, as_json: bool) -> None:
    if as_json:
        print_json(reindex)
        return
    table = Table(show_header=False)
    table.add_row("reindex", reindex.reindex_id)
    table.add_row("collection", reindex.collection)
    table.add_row("state", reindex.state)
    table.add_row("index", f"{reindex.index.name} ({reindex.index.embedder})")
    table.add_row("before", f"{reindex.previous.name} ({reindex.previous.embedder})")
    table.add_row("documents", f"{reindex.documents_done} of {reindex.documents_total}")
    table.add_row("passages", f"{reindex.chunks_done} of {reindex.chunks_total}")
    decides = "evaluation's gate" if reindex.gated else "a person"
    table.add_row("switched by", decides)
    texts = {
        "gate": reindex.gate_id,
        "model": reindex.model,
        "detail": reindex.detail,
        "reason": reindex.reason,
    }
    for name, text in texts.items():
        if text:
            table.add_row(name, text)
    if reindex.state == "switched":
        table.add_row("kept until", str(reindex.keep_until_time))
    console.print(table)
    _print_comparisons(reindex)


def _print_comparisons(reindex: Reindex) -> None:
    table = Table("compared", "in use", "other", "other - in use")
    if live := reindex.live:
        table.add_row(f"live searches ({live.searches})", *_seconds(live.latencies))
        table.add_row(f"  overlap@{live.depth}", "", _shown(live.overlap), "")
        if live.correlation:
            table.add_row("  rank correlation", "", _shown(live.correlation), "")
        if live.helpfulness:
            label = f"  helpfulness ({live.judged_searches})"
            table.add_row(label, *_metric(live.helpfulness))
    if judged := reindex.judged:
        table.add_row(f"judged queries ({judged.queries})", *_seconds(judged.latencies))
        table.add_row("  MRR@10", *_metric(judged.mrr))
        table.add_row("  recall@10", *_metric(judged.recall))
    if table.row_count:
        console.print(table)


def _metric(compared: Compared) -> list[str]:
    difference = compared.difference
    shown = _shown(difference) if difference else ""
    return [_shown(compared.in_use), _shown(compared.other), shown]


def _seconds(latencies: Latencies) -> list[str]:
    in_use = f"p50 {latencies.in_use_median:.3f} s, p95 {latencies.in_use_p95:.3f} s"
    other = f"p50 {latencies.other_median:.3f} s, p95 {latencies.other_p95:.3f} s"
    return [in_use, other, ""]


def _shown(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"
