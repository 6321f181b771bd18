"""A curve in characters, for a loss that falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EIGHTHS = " ▁▂▃▄▅▆▇█"
LABEL = 9


def curve(
    losses: Mapping[int, float], steps: int, *, width: int = 60, height: int = 6
) -> Sequence[str]:
    """Lines from above, each with the value of its upper end: bars on the scale from the lowest to
    the highest loss.

    losses: by step. steps: where the axis ends; steps that share a column are averaged, a column
    without one stays empty. No losses are no lines.
    """
    columns = _columns(losses, max(steps, *losses, 1) if losses else 1, width)
    known = [one for one in columns if one is not None]
    if not known:
        return ()
    low, high = min(known), max(known)
    heights = [_eighths(one, low, high, height) for one in columns]
    return [
        f"{_label(low, high, row, height):>{LABEL}} ┤"
        + "".join(EIGHTHS[max(0, min(8, one - 8 * row))] for one in heights)
        for row in reversed(range(height))
    ]


def _columns(losses: Mapping[int, float], steps: int, width: int) -> list[float | None]:
    places: list[list[float]] = [[] for _ in range(width)]
    for step, loss in losses.items():
        places[min(width - 1, max(0, step - 1) * width // steps)].append(loss)
    return [sum(some) / len(some) if some else None for some in places]


def _eighths(value: float | None, low: float, high: float, height: int) -> int:
    """The lowest still shows."""
    if value is None:
        return 0
    share = (value - low) / (high - low) if high > low else 1.0
    return max(1, round(share * 8 * height))


def _label(low: float, high: float, row: int, height: int) -> str:
    return f"{low + (high - low) * (row + 1) / height:.4g}"
