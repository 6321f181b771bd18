"""The whole answer path: the reader over the lists that the inference service would show it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import LlamaForCausalLM

from gyre_retraining.recipes.reader.corpus import rows
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.results import margin
from gyre_retraining.recipes.reader.scoring import verdicts

_HEAD = (
    "| set | items | reader | first of the list | idf overlap | BM25 | listed | moved | refused |"
)


@dataclass(frozen=True)
class PathScore:
    """Shares of `count` questions whose cited sentence answers. `first`: of the list, which a
    reader that adds nothing cites. `refused`: by the reader itself, counted as not answered.
    `moved`: cited another than the first."""

    count: int
    reader: float
    first: float
    overlap: float
    bm25: float
    listed: float
    moved: float
    refused: float


def score_lists(model: LlamaForCausalLM, layout: Layout, lists: Path) -> dict[str, PathScore]:
    """By set; `lists` are the JSON lines of the inference service's `calibration lists`."""
    sets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(lists):
        sets[row["set"]].append(row)
    return {name: _score(model, layout, found) for name, found in sets.items()}


def _score(model: LlamaForCausalLM, layout: Layout, found: list[dict[str, Any]]) -> PathScore:
    items = [
        Item(row["set"], row["question"], tuple(row["sentences"]), frozenset(row["answers"]))
        for row in found
    ]
    told = list(zip(verdicts(model, layout, items), items, strict=True))

    def share(right: list[bool]) -> float:
        return sum(right) / len(found)

    return PathScore(
        count=len(found),
        reader=share([not v.refuses() and v.cited() in item.answers for v, item in told]),
        first=share([0 in item.answers for item in items]),
        overlap=share([row["overlap"] for row in found]),
        bm25=share([row["bm25"] for row in found]),
        listed=share([bool(item.answers) for item in items]),
        moved=share([v.cited() > 0 for v, _ in told]),
        refused=share([v.refuses() for v, _ in told]),
    )


def table(scores: Mapping[str, PathScore]) -> str:
    """As Markdown, with 95 % margins."""
    return "\n".join([_HEAD, "|---" * 9 + "|", *(_line(n, s) for n, s in scores.items())]) + "\n"


def _line(name: str, score: PathScore) -> str:
    picked = (score.reader, score.first, score.overlap, score.bm25)
    cells = [f"{share:.3f} ± {margin(share, score.count):.3f}" for share in picked]
    rest = [f"{share:.3f}" for share in (score.listed, score.moved, score.refused)]
    return "| " + " | ".join([name, str(score.count), *cells, *rest]) + " |"
