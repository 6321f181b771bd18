"""The gate: what a run must reach, and exit codes for any CI. Too little data is never a pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from gyre_client.evaluation import Difference, Run, Summary

PASS, WORSE, INSUFFICIENT = 0, 5, 6
LEAST = 20
_REQUIREMENT = re.compile(r"\s*(?P<metric>\w+)\s*(?P<sign>>=|<=)\s*(?P<limit>-?\d+(?:\.\d+)?)\s*")

Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require", help='Repeatable gate, e.g. "groundedness>=0.7" or "toxicity<=0.01".'
    ),
]


@dataclass(frozen=True)
class Requirement:
    """A limit on the mean of a metric."""

    metric: str
    at_least: bool
    limit: float

    @property
    def text(self) -> str:
        return f"{self.metric} {'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Gate:
    """What must hold. margin: of the comparison with the baseline."""

    requirements: tuple[Requirement, ...]
    baseline: str = ""
    margin: float = 0.0

    @classmethod
    def read(cls, texts: Sequence[str], baseline: str, margin: float) -> Gate:
        """Raises typer.BadParameter."""
        return cls(tuple(map(_requirement, texts)), baseline, margin)


@dataclass(frozen=True)
class GateVerdict:
    """What became of one requirement."""

    requirement: str
    verdict: str
    detail: str

    @property
    def line(self) -> str:
        colour = {"pass": "green", "fail": "red"}.get(self.verdict, "yellow")
        return f"[{colour}]{self.verdict}[/] {self.requirement}: {self.detail}"


def gate_help() -> str:
    return (
        "Exit codes: 0 all requirements hold (or none was given), 1 the run failed, "
        "3 a service is unreachable, 4 not found, 5 a requirement fails or the candidate is worse, "
        "6 insufficient data: too few scores, or an interval too wide to tell; never a pass."
    )


def judged_requirements(run: Run, gate: Gate) -> tuple[int, list[GateVerdict]]:
    """The mean's whole 95 % interval must lie on the right side of the limit. On both sides of it:
    more examples are needed. Answers that are missing count against the run."""
    verdicts = [_judged(run, one) for one in gate.requirements]
    codes = {"pass": PASS, "fail": WORSE, "insufficient data": INSUFFICIENT}
    found = [codes[one.verdict] for one in verdicts]
    return _worst(found), verdicts


def judged_differences(differences: Sequence[Difference]) -> int:
    """Worse goes before too little data: it is known already."""
    codes = {"worse": WORSE, "insufficient": INSUFFICIENT}
    return _worst([codes.get(one.verdict, PASS) for one in differences] or [INSUFFICIENT])


def _worst(codes: Sequence[int]) -> int:
    if WORSE in codes:
        return WORSE
    return INSUFFICIENT if INSUFFICIENT in codes else PASS


def _judged(run: Run, wanted: Requirement) -> GateVerdict:
    found = next((one for one in run.summaries if one.metric == wanted.metric), None)
    if found is None or found.mean is None:
        return GateVerdict(wanted.text, "insufficient data", "the run has no such score")
    if found.count < LEAST:
        detail = f"{found.count} scores, at least {LEAST} are needed"
        return GateVerdict(wanted.text, "insufficient data", detail)
    if run.failures * 10 > run.examples:
        detail = f"{run.failures} of {run.examples} examples have no answer"
        return GateVerdict(wanted.text, "insufficient data", detail)
    return GateVerdict(wanted.text, _side(found, wanted), _said(found))


def _side(found: Summary, wanted: Requirement) -> str:
    assert found.mean is not None
    low = found.mean if found.low is None else found.low
    high = found.mean if found.high is None else found.high
    if not wanted.at_least:
        low, high, limit = -high, -low, -wanted.limit
    else:
        limit = wanted.limit
    if low >= limit:
        return "pass"
    return "fail" if high < limit else "insufficient data"


def _said(found: Summary) -> str:
    ends = "" if found.low is None else f", 95 % interval {found.low:.3f} to {found.high:.3f}"
    return f"mean {found.mean:.3f}{ends}, {found.count} scores"


def _requirement(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f'--require "{text}": write metric>=limit or metric<=limit')
    return Requirement(match["metric"], match["sign"] == ">=", float(match["limit"]))
