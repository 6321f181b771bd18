"""Plots as SVG to stand in a page (library: matplotlib)."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "gyre",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "xtick.color": "#52606d",
    "ytick.color": "#1f2933",
}
BLUE, GREY, GREEN, RED, AMBER = "#2f6db5", "#9aa5b1", "#2f8f5b", "#c0392b", "#b7791f"
VERDICTS = {"better": GREEN, "worse": RED, "not_worse": BLUE, "insufficient": GREY}
BINS = 20


def means_plot(metrics: Sequence[dict[str, Any]]) -> str:
    """Means with their intervals; metrics of 0 to 1 alone share a scale."""
    shown = [one for one in metrics if one["mean"] is not None and one["maximum"] == 1.0]
    if not shown:
        return ""
    figure, axes = _canvas(7.2, 0.34 * len(shown) + 0.7)
    for place, one in enumerate(reversed(shown)):
        low, high = one["low"], one["high"]
        if low is not None:
            axes.plot([low, high], [place, place], color=BLUE, linewidth=5, alpha=0.28)
        axes.plot(one["mean"], place, "o", color=BLUE, markersize=5)
    axes.set_yticks(range(len(shown)), [one["metric"] for one in reversed(shown)])
    least = min(0.0, *(one["low"] if one["low"] is not None else one["mean"] for one in shown))
    axes.set_xlim(least - 0.02, 1.02)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    return _svg(figure, "Means with 95 % intervals")


def histogram(metric: dict[str, Any]) -> str:
    """How the scores of one metric lie."""
    values = metric["values"]
    if len(values) < 2:
        return ""
    figure, axes = _canvas(2.7, 0.95)
    ends = (0.0, 1.0) if metric["maximum"] == 1.0 and min(values) >= 0 else None
    axes.hist(values, bins=BINS, range=ends, color=BLUE, alpha=0.85)
    axes.axvline(sum(values) / len(values), color=AMBER, linewidth=1.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return _svg(figure, f"Distribution of {metric['metric']}")


def differences_plot(differences: Sequence[dict[str, Any]]) -> str:
    """Candidate minus baseline with intervals, in the unit of each metric of 0 to 1."""
    shown = [one for one in differences if one["interval"] and abs(one["interval"]["high"]) <= 1.5]
    if not shown:
        return ""
    figure, axes = _canvas(7.2, 0.34 * len(shown) + 0.7)
    axes.axvline(0, color="#52606d", linewidth=1)
    for place, one in enumerate(reversed(shown)):
        colour, interval = VERDICTS[one["verdict"]], one["interval"]
        ends = [interval["low"], interval["high"]]
        axes.plot(ends, [place, place], color=colour, linewidth=5, alpha=0.35)
        axes.plot(interval["mean"], place, "o", color=colour, markersize=5)
    axes.set_yticks(range(len(shown)), [one["metric"] for one in reversed(shown)])
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    return _svg(figure, "Candidate minus baseline with 95 % intervals")


def trade_plot(runs: Sequence[dict[str, Any]], metric: str) -> str:
    """Quality against time for each run."""
    shown = [one for one in runs if (one["metrics"].get(metric) or {}).get("mean") is not None]
    if len(shown) < 2:
        return ""
    figure, axes = _canvas(7.2, 3.2)
    for number, run in enumerate(shown, start=1):
        found, seconds = run["metrics"][metric], run["costs"]["latency_p50"]
        if found["low"] is not None:
            axes.plot([seconds] * 2, [found["low"], found["high"]], color=BLUE, alpha=0.3, lw=4)
        axes.plot(seconds, found["mean"], "o", color=BLUE)
        axes.annotate(str(number), (seconds, found["mean"]), (6, 4), textcoords="offset points")
    axes.set_xlabel("median seconds of an answer")
    axes.set_ylabel(metric)
    axes.margins(0.18)
    return _svg(figure, f"{metric} against time")


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, title: str) -> str:
    """The element alone, with a title for those who do not see it, as wide as its place."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
