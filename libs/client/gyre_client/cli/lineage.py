"""`gyre lineage`: what a thing came from, and what came from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.tree import Tree

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.training import Lineage, LineageNode

KINDS = ("answer", "model", "training", "dataset", "judgement", "document", "user")
BRANCHES = 10


def lineage(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    id: Annotated[str, typer.Argument(help="Its id; a model's is name/version.")],
    forward: Annotated[
        bool, typer.Option("--forward", help="What came from it, instead of what it came from.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many things.")] = 1000,
    as_json: Json = False,
) -> None:
    """Trace an answer back to its model, training, dataset, judgements and documents; or a
    document, a judgement or a user forward to datasets, models and answers.

    Example: gyre lineage document 5b6f --forward
    """

    async def work() -> None:
        async with Gyre() as gyre:
            found = await gyre.training.lineage(
                kind, id, direction="forward" if forward else "back", limit=limit
            )
        if as_json:
            print_json(found)
            return
        console.print(tree_of(found, forward=forward))
        console.print(counted(found))

    run(work())


def tree_of(found: Lineage, *, forward: bool) -> Tree:
    """Each thing once, where it is nearest; of many of one kind only some."""
    below: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for edge in found.edges:
        here, there = (edge.earlier, edge.later) if forward else (edge.later, edge.earlier)
        below[here].append((there, edge.relation))
    root = Tree(_said(found.nodes[0]))
    seen, fringe = {0}, [(0, root)]
    while fringe:
        reached = []
        for place, branch in fringe:
            fresh = [(to, how) for to, how in below[place] if to not in seen]
            seen |= {to for to, _ in fresh}
            shown, hidden = _some(found, fresh)
            reached += [
                (to, branch.add(f"[dim]{escape(how)}[/] {_said(found.nodes[to])}"))
                for to, how in shown
            ]
            for kind, count in hidden.items():
                branch.add(f"[dim]and {count} more of kind {kind}; --json has all[/]")
        fringe = reached
    return root


def counted(found: Lineage) -> str:
    """How many of each kind, and whether there is more."""
    kinds = Counter(one.kind for one in found.nodes[1:])
    told = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(kinds.items()))
    more = "; there is more, see --limit" if found.truncated else ""
    return f"{told or 'nothing'}{more}"


def _some(
    found: Lineage, fresh: list[tuple[int, str]]
) -> tuple[list[tuple[int, str]], Counter[str]]:
    shown, hidden, counts = [], Counter[str](), Counter[str]()
    for to, how in fresh:
        kind = found.nodes[to].kind
        counts[kind] += 1
        if counts[kind] > BRANCHES:
            hidden[kind] += 1
        else:
            shown.append((to, how))
    return shown, hidden


def _said(node: LineageNode) -> str:
    label = f" ({escape(node.label)})" if node.label else ""
    when = f" [dim]{node.time:%Y-%m-%d %H:%M}[/]" if node.time else ""
    return f"{node.kind} [bold]{escape(node.id)}[/]{label}{when}"
