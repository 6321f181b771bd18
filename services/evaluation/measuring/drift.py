"""How often unchanged traffic raises an alarm, and how soon changed traffic does."""

from __future__ import annotations

import sys
import time

import numpy as np
from gyre_evaluation.adapters.statistics.comparing import compare
from gyre_evaluation.domain.drift.findings import LEVEL, corrected
from gyre_evaluation.domain.drift.traffic import Plan

from measuring.traffic import LiveTraffic, missing, observed, vectors

LEVELS = (0.05, 0.01, LEVEL)


def report(seeds: int, plan: Plan) -> None:
    """Prints the tables of `docs/monitoring.md`."""
    if absent := missing():
        raise SystemExit(f"cannot measure without {absent}")
    quiet = np.empty((seeds, 20))
    loud = np.empty((seeds, 2))
    started = time.monotonic()
    for seed in range(seeds):
        quiet[seed], loud[seed] = _lowest(seed, plan)
        spent = time.monotonic() - started
        sys.stderr.write(f"\r{seed + 1} of {seeds} draws, {spent / (seed + 1):.1f} s each ")
    print(f"\n{seeds} draws: reference {plan.reference}, window {plan.window}\n")
    print("| level of a window | windows with a false alarm | draws of 20 windows with one |")
    print("|---|---|---|")
    for level in LEVELS:
        alarms = quiet < level
        print(f"| {level} | {alarms.mean():.4f} | {alarms.any(axis=1).mean():.3f} |")
    found = loud < LEVEL
    print(f"\n20 % out of scope: alarm in the first window {found[:, 0].mean():.3f}, ", end="")
    print(f"within two {found.any(axis=1).mean():.3f}")


def _lowest(seed: int, plan: Plan) -> tuple[list[float], list[float]]:
    """The lowest corrected p-value of each window."""
    traffic = LiveTraffic.drawn(seed, plan)
    known = vectors(traffic.texts)
    reference = observed(traffic.reference, known)
    quiet, loud = (
        [
            min(one.p_value for one in corrected(compare(reference, observed(some, known))))
            for some in windows
        ]
        for windows in (traffic.same, traffic.strange)
    )
    return quiet, loud
