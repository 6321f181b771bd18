"""What became of each candidate: a row on the screen, an object in a file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gyre_client.gates import Gate, GateCheck
from rich.console import Console
from rich.table import Table

COLOURS = {"promoted": "green", "refused": "yellow", "rolled back": "red", "not trained": "yellow"}


@dataclass
class Turn:
    """One way round the loop. seconds: of each step, in order. why: in the platform's words."""

    candidate: str
    learnt_from: str
    gate: str = ""
    shadow: str = ""
    canary: str = ""
    outcome: str = ""
    why: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def table(turns: Sequence[Turn]) -> Table:
    """All of them, in order."""
    shown = Table(
        "candidate",
        "learnt from",
        "gate",
        "shadow",
        "canary",
        "outcome",
        "seconds",
        show_lines=True,
    )
    for one in turns:
        colour = COLOURS.get(one.outcome, "white")
        took = "\n".join(f"{name} {value:.0f}" for name, value in one.seconds.items())
        outcome = f"[{colour}]{one.outcome}[/]"
        shown.add_row(
            one.candidate, one.learnt_from, one.gate, one.shadow, one.canary, outcome, took
        )
    return shown


def gate_told(gate: Gate | None) -> str:
    """Verdict, and each check with its numbers."""
    if gate is None:
        return "no gate"
    return "\n".join([gate.verdict, *(_check(one) for one in gate.checks if one.low is not None)])


def _check(one: GateCheck) -> str:
    if None in (one.champion, one.candidate, one.low, one.high):
        return f"{one.name}: {one.detail}"
    return (
        f"{one.name} {one.champion:.3f} to {one.candidate:.3f} ({one.low:+.3f} to {one.high:+.3f},"
        f" {one.pairs} pairs)"
    )


def write(path: Path, turns: Sequence[Turn], seconds: float) -> None:
    """As JSON, and beside it as a page."""
    page = Console(record=True, file=io.StringIO(), width=160)
    page.print(table(turns))
    page.save_html(str(path.with_suffix(".html")))
    told = {"seconds": round(seconds, 1), "turns": [asdict(one) for one in turns]}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
