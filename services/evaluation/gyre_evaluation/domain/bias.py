"""Is a group of people served worse? Each metric by slice, against the rest of the same cut."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

from gyre_evaluation.domain.multiplicity import holm
from gyre_evaluation.domain.windows import Group, GroupKind, Moments


@dataclass(frozen=True, slots=True)
class BiasRules:
    """least: answers that a slice and the rest need each. level: chance of a false alarm among all
    slices and metrics of a check. effect: least gap in standard deviations that matters."""

    least: int = 50
    level: float = 0.001
    effect: float = 0.2


@dataclass(frozen=True, slots=True)
class Disparity:
    """A slice whose mean differs from the rest's. low, high: 95 % interval of the gap."""

    metric: str
    slice: str
    count: int
    mean: float
    rest_count: int
    rest_mean: float
    low: float
    high: float
    p_value: float
    effect: float

    @property
    def gap(self) -> float:
        return self.mean - self.rest_mean


def disparities(
    sums: Mapping[tuple[Group, str], Moments], rules: BiasRules | None = None
) -> list[Disparity]:
    """Those that are certain and large, the largest first; p-values are corrected for all tests."""
    rules = rules or BiasRules()
    tested = list(_comparisons(sums, rules.least))
    corrected = holm([one.p_value for one in tested])
    found = [replace(one, p_value=p) for one, p in zip(tested, corrected, strict=True)]
    alarming = [
        one for one in found if one.p_value < rules.level and abs(one.effect) >= rules.effect
    ]
    return sorted(alarming, key=lambda one: (-abs(one.effect), one.metric, one.slice))


def _comparisons(sums: Mapping[tuple[Group, str], Moments], least: int) -> Iterator[Disparity]:
    cuts: dict[tuple[str, str], dict[str, Moments]] = defaultdict(dict)
    for (group, metric), moments in sums.items():
        if group.kind is GroupKind.SLICE:
            cuts[metric, group.key][group.value] = moments
    for (metric, _), slices in sorted(cuts.items()):
        whole = sum(slices.values(), Moments())
        for name, part in sorted(slices.items()):
            rest = whole - part
            if part.count >= least and rest.count >= least:
                yield _compared(metric, name, part, rest)


def _compared(metric: str, name: str, part: Moments, rest: Moments) -> Disparity:
    """Welch's test by the normal approximation: `least` answers on both sides make it close."""
    gap = part.mean - rest.mean
    error = math.sqrt(part.variance / part.count + rest.variance / rest.count)
    spread = math.sqrt((part.variance + rest.variance) / 2)
    margin = NormalDist().inv_cdf(0.975) * error
    return Disparity(
        metric=metric,
        slice=name,
        count=part.count,
        mean=part.mean,
        rest_count=rest.count,
        rest_mean=rest.mean,
        low=gap - margin,
        high=gap + margin,
        p_value=math.erfc(abs(_ratio(gap, error)) / math.sqrt(2)),
        effect=_ratio(gap, spread),
    )


def _ratio(gap: float, unit: float) -> float:
    if unit > 0:
        return gap / unit
    # Sums of equal numbers differ in their last bits.
    return 0.0 if math.isclose(gap, 0.0, abs_tol=1e-9) else math.copysign(math.inf, gap)
