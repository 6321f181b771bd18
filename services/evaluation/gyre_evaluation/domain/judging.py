"""What judges said, read and brought together."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any

from gyre_evaluation.domain.metrics.case import Case
from gyre_evaluation.domain.metrics.metric import Need, Score, Source
from gyre_evaluation.domain.rubrics import HIGHEST, LOWEST, Rubric

_OBJECT = re.compile(r"\{.*?\}", re.DOTALL)


class Preference(StrEnum):
    """Of two answers."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


class Unreadable(Exception):
    """A judge's reply that holds no verdict."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One judge's. value: 0 to 1. error: why there is none."""

    judge: str
    value: float | None = None
    reason: str = ""
    error: str = ""


def read_score(reply: str) -> tuple[float, str]:
    """0 to 1 and the reason. Raises `Unreadable`."""
    found = _read(reply)
    score = found.get("score")
    if isinstance(score, str) and score.strip().isdigit():
        score = int(score)
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise Unreadable("the judge's reply holds no score")
    if not LOWEST <= score <= HIGHEST:
        raise Unreadable(f"the judge's score {score} is not between {LOWEST} and {HIGHEST}")
    return (score - LOWEST) / (HIGHEST - LOWEST), str(found.get("reason", ""))[:600]


def read_preference(reply: str) -> Preference:
    """Of the answers in the order in which they were shown. Raises `Unreadable`."""
    said = str(_read(reply).get("better", "")).strip().upper()
    known = {"A": Preference.FIRST, "B": Preference.SECOND, "TIE": Preference.TIE}
    if said not in known:
        raise Unreadable("the judge's reply says neither A nor B nor tie")
    return known[said]


def settled(shown: Preference, swapped: Preference) -> Preference:
    """A judge that changes its mind with the order of the answers prefers neither."""
    turned = {
        Preference.FIRST: Preference.SECOND,
        Preference.SECOND: Preference.FIRST,
        Preference.TIE: Preference.TIE,
    }[swapped]
    return shown if shown is turned else Preference.TIE


def majority(votes: Sequence[Preference]) -> Preference:
    """Of several judges; without a majority a tie."""
    first, second = votes.count(Preference.FIRST), votes.count(Preference.SECOND)
    if first == second:
        return Preference.TIE
    return Preference.FIRST if first > second else Preference.SECOND


def score_of(rubric: Rubric, opinions: Sequence[Opinion]) -> Score:
    """The mean of those that could judge. Confidence falls as they differ: 1 less their range."""
    values = [one.value for one in opinions if one.value is not None]
    judges = ",".join(one.judge for one in opinions)
    common = {"source": Source.JUDGE, "judge_model": judges, "rubric": rubric.mark}
    metric = rubric.metric.name
    if not values:
        errors = "; ".join(f"{one.judge}: {one.error}" for one in opinions)
        return Score(metric, None, error=errors, **common)  # type: ignore[arg-type]
    return Score(
        metric,
        fmean(values),
        explanation=" / ".join(one.reason for one in opinions if one.reason),
        confidence=1 - (max(values) - min(values)) if len(values) > 1 else None,
        **common,  # type: ignore[arg-type]
    )


def preference_score(rubric: Rubric, judges: Sequence[str], votes: Sequence[Preference]) -> Score:
    """Of the first answer. Confidence: the share of judges that voted as the majority."""
    won = majority(votes)
    value = {Preference.FIRST: 1.0, Preference.TIE: 0.5, Preference.SECOND: 0.0}[won]
    return Score(
        rubric.metric.name,
        value,
        source=Source.JUDGE,
        judge_model=",".join(judges),
        rubric=rubric.mark,
        confidence=votes.count(won) / len(votes) if len(votes) > 1 else None,
    )


def given_of(rubric: Rubric, case: Case) -> str:
    """What the judge may judge by."""
    parts = []
    if Need.REFERENCES in rubric.needs:
        parts.append(f"Reference:\n<{case.references[0]}>\n")
    if Need.PASSAGES in rubric.needs:
        shown = "\n\n".join(f"[{n}] {one.text}" for n, one in enumerate(case.passages, start=1))
        parts.append(f"Passages:\n<{shown}>\n")
    return "\n".join(parts)


def _read(reply: str) -> dict[str, Any]:
    """The last object that can be read: some judges think aloud before it."""
    for match in reversed(_OBJECT.findall(reply)):
        try:
            found = json.loads(match)
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return found
    raise Unreadable("the judge's reply holds no JSON")
