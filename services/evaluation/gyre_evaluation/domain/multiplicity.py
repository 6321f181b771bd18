"""Many tests at once: the chance that any of them cries wolf stays what it was for one."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values in the same order (Holm, 1979): reject those below the level, and the
    chance of one false rejection is at most the level, however the tests depend on each other."""
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for passed, place in enumerate(ranked):
        highest = max(highest, min(1.0, (len(p_values) - passed) * p_values[place]))
        corrected[place] = highest
    return corrected
