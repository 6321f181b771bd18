"""One page that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gyre_evaluation.adapters.reports import plots

HERE = Path(__file__).parent
FEW = 10


def page(report: Mapping[str, Any]) -> str:
    """The report of a run, a comparison, a replay or a gate."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "seconds": seconds, "interval": interval}
    template = environment.get_template(f"{report['kind']}.html.jinja")
    return template.render(report=report, few=FEW, **_drawn(report))


def number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return "–"
    if value == 0 or 0.01 <= abs(value) < 100:
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4f}"


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def interval(one: Mapping[str, Any]) -> str:
    if one["low"] is None:
        return ""
    return f"{number(one['low'])} to {number(one['high'])}"


def _drawn(report: Mapping[str, Any]) -> dict[str, Any]:
    if report["kind"] == "run":
        return {
            "means": Markup(plots.means_plot(report["metrics"])),
            "histograms": {
                one["metric"]: Markup(plots.histogram(one)) for one in report["metrics"]
            },
        }
    if report["kind"] == "replay":
        return {"drawn": Markup(plots.differences_plot(report["differences"]))}
    if report["kind"] == "gate":
        return {}
    first = next((one["name"] for one in report["metrics"] if one["direction"] == "higher"), "")
    return {
        "drawn_differences": {
            run_id: Markup(plots.differences_plot(some))
            for run_id, some in report["differences"].items()
        },
        "trade": Markup(plots.trade_plot(report["runs"], first)),
    }
