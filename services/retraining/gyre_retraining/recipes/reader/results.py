"""The table of runs: one row each, never edited."""

import json
import math
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.reader.config import Recipe
from gyre_retraining.recipes.reader.evaluation import Score
from gyre_retraining.recipes.reader.training import Tally


def row(
    recipe: Recipe,
    tally: Tally,
    parameters: int,
    scores: dict[str, list[Score]],
    refused: dict[str, float],
) -> dict[str, Any]:
    """What the run was and what it reached; `scores` by the order of the listed sentences."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": recipe.name,
        "seed": recipe.seed,
        "data": recipe.corpus.model_dump(),
        "machine": f"{platform.machine()}, {recipe.run.threads} threads",
        "parameters": parameters,
        "minutes": round(tally.seconds / 60, 1),
        "steps": tally.steps,
        "tokens": tally.tokens,
        "scores": {o: {s.name: _shown(s) for s in found} for o, found in scores.items()},
        "refused_other_article": refused,
    }


def append(row: dict[str, Any], work: Path) -> None:
    """Add the row to the working folder's table."""
    with (work / "results.jsonl").open("a") as table:
        table.write(json.dumps(row) + "\n")


def margin(share: float, count: int) -> float:
    """Half the width of the 95 % interval of a share over `count` items."""
    return 1.96 * math.sqrt(max(share * (1 - share), 1e-9) / max(1, count))


def table(scores: list[Score]) -> str:
    """The scores as a Markdown table with 95 % margins."""
    head = "| set | items | model | idf overlap | BM25 | listed | refused wrongly |\n"
    rule = "|---|---|---|---|---|---|---|\n"
    return head + rule + "".join(map(_line, scores))


def _line(score: Score) -> str:
    cells = [
        f"{v:.3f} ± {margin(v, score.count):.3f}" for v in (score.model, score.overlap, score.bm25)
    ]
    rest = [f"{score.listed:.3f}", f"{score.false_refusals:.3f}"]
    return "| " + " | ".join([score.name, str(score.count), *cells, *rest]) + " |\n"


def _shown(score: Score) -> dict[str, float]:
    shares = ("model", "overlap", "bm25", "listed", "false_refusals")
    return {"count": score.count} | {name: round(getattr(score, name), 4) for name in shares}
