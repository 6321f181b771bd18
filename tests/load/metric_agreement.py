"""Do the metrics agree with people? Rank correlations with two sets of human judgements.

    python -m tests.load.metric_agreement [--write]

Metrics are computed by the evaluation service's own code, with real MiniLM vectors. `--write` puts
the tables into `docs/evaluation.md` between its markers. Vectors are cached in `var/quality`.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from gyre_evaluation.adapters.metrics.scoring import case_from, score
from gyre_evaluation.domain.metrics.grounding import texts_compared
from scipy import stats

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "dev"
CACHE = ROOT / "var" / "quality"
MODEL = ROOT / "var" / "models" / "all-minilm-l6-v2-openvino"
PAGE = ROOT / "docs" / "evaluation.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
GRADES = {"Bad": 0.0, "Could be Improved": 1.0, "Acceptable": 2.0, "Excellent": 3.0}
RESAMPLES = 1000
OVERLAPS = ("token_f1", "rouge1", "rouge2", "rougeL", "sentence_bleu", "chrf", "answer_similarity")


@dataclass(frozen=True)
class Agreement:
    """Of one metric with one human judgement. Intervals are 95 %, by bootstrap over questions."""

    metric: str
    spearman: float
    spearman_ends: tuple[float, float]
    kendall: float
    kendall_ends: tuple[float, float]
    count: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    write = parser.parse_args().write
    text = "\n".join([*feedback_qa(), "", *rag_checker()])
    print(text)
    if write:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def feedback_qa() -> list[str]:
    """Passages shown for a question, rated by two people."""
    folder = DATA / "fb_feedbackqa"
    corpus = _lines(gzip.decompress((folder / "corpus.jsonl.gz").read_bytes()))
    passages = {one["_id"]: one["text"] for one in corpus}
    rated = _lines((folder / "feedback.jsonl").read_bytes())
    cases, turned = [], []
    for one in rated:
        common = {"question": one["question"], "refused": False}
        cases.append({**common, "answer": passages[one["passage"]]})
        shown = [{"text": passages[one["passage"]]}]
        turned.append({**common, "answer": one["question"], "passages": shown})
    grades = [[GRADES[grade] for grade in one["ratings"]] for one in rated]
    people = [fmean(some) for some in grades]
    groups = [f"{one['region']} {one['question']}" for one in rated]
    own = stats.spearmanr(*zip(*grades, strict=True)).statistic
    pairs = zip(
        computed(cases, ["answer_relevance"]), computed(turned, ["groundedness"]), strict=True
    )
    scored = [one | other for one, other in pairs]
    lines = [
        f"**FeedbackQA UK and CDC**: {len(rated)} passages shown for a question, mean of two "
        "ratings (0 bad to 3 excellent). The passage is taken for an answer, without a reference; "
        "`groundedness` here is how much of the question the passage holds. "
        f"The two people agree with each other at a Spearman of {own:.2f}.",
        "",
    ]
    names = ("answer_relevance", "groundedness")
    return lines + table([agreement(name, scored, people, groups) for name in names])


def rag_checker() -> list[str]:
    """Two answers to a question, compared by two people. Reference: the answer by experts."""
    packed = (DATA / "eval_ragchecker_human" / "human_labeled.jsonl.gz").read_bytes()
    by_pair: dict[int, list[Any]] = defaultdict(list)
    for one in _lines(gzip.decompress(packed)):
        by_pair[one["instance_id"]].append(one)
    names = [*OVERLAPS, "groundedness", "context_recall"]
    cases, turned = [], []
    for judged in by_pair.values():
        for model in ("model1", "model2"):
            answer, reference = judged[0][model]["response"], judged[0]["gt_answer"]
            common = {"question": judged[0]["query"], "references": [reference], "refused": False}
            # How much of the answer stands in the reference, and of the reference in the answer.
            cases.append({**common, "answer": answer, "passages": [{"text": reference}]})
            turned.append({**common, "answer": answer, "passages": [{"text": answer}]})
    pairs = zip(computed(cases, names[:-1]), computed(turned, names[-1:]), strict=True)
    scored = [one | other for one, other in pairs]
    differences: dict[str, list[float | None]] = defaultdict(list)
    for first, second in zip(scored[::2], scored[1::2], strict=True):
        for name in names:
            both = first.get(name), second.get(name)
            known = both[0] is not None and both[1] is not None
            differences[name].append(both[1] - both[0] if known else None)  # type: ignore[operator]
    rows = [
        dict(zip(differences, values, strict=True))
        for values in zip(*differences.values(), strict=True)
    ]
    groups = [str(judged[0]["query_id"]) for judged in by_pair.values()]
    lines = [
        f"**RAGChecker**: {len(by_pair)} pairs of answers to one question, each compared by two "
        "people (-2 the first is much better, to 2 the second is). The metric is the second "
        "answer's score less the first's, with the experts' answer as reference; `groundedness` "
        "here is how much of the answer the reference supports, `context_recall` how much of the "
        "reference the answer holds.",
    ]
    for aspect in ("correctness", "completeness", "overall"):
        labels = [[one[f"{aspect}_label"] for one in judged] for judged in by_pair.values()]
        own = stats.spearmanr(*zip(*labels, strict=True)).statistic
        people = [fmean(some) for some in labels]
        lines += [
            "",
            f"{aspect.capitalize()}; the two people agree at a Spearman of {own:.2f}:",
            "",
        ]
        lines += table([agreement(name, rows, people, groups) for name in names])
    return lines


def computed(cases: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[dict[str, float]]:
    texts = {text for one in cases for text in texts_compared(case_from(one)) if text.strip()}
    embed(sorted(texts))
    kept = sqlite3.connect(CACHE / "vectors.db")
    found = []
    for place, one in enumerate(cases, start=1):
        vectors = {
            text: base64.b64encode(_vector(kept, text)).decode()
            for text in texts_compared(case_from(one))
            if text.strip()
        }
        (scores,) = score({"cases": [one], "metrics": metrics, "vectors": vectors})
        found.append({name: got["value"] for name, got in scores.items() if "value" in got})
        if place % 200 == 0:
            sys.stderr.write(f"\rscored {place} of {len(cases)}")
    return found


def embed(texts: Sequence[str]) -> None:
    """Into the cache, by the model server's environment; texts that are there are skipped."""
    CACHE.mkdir(parents=True, exist_ok=True)
    program = ROOT / "tests" / "load" / "embed_offline.py"
    command = [ROOT / ".venv-models" / "bin" / "python", program, MODEL, CACHE / "vectors.db"]
    lines = "\n".join(json.dumps(text) for text in texts)
    subprocess.run(command, input=lines, text=True, check=True)


def agreement(
    name: str,
    scored: Sequence[Mapping[str, float | None]],
    people: Sequence[float],
    groups: Sequence[str],
) -> Agreement:
    """Resampled by group: judgements of one question are not independent."""
    kept = [place for place, one in enumerate(scored) if one.get(name) is not None]
    ours = np.array([scored[place][name] for place in kept], dtype=float)
    theirs = np.array([people[place] for place in kept])
    members: dict[str, list[int]] = defaultdict(list)
    for at, place in enumerate(kept):
        members[groups[place]].append(at)
    pools, draw = [np.array(one) for one in members.values()], np.random.default_rng(1)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([pools[at] for at in draw.integers(0, len(pools), len(pools))])
        drawn.append(
            (_spearman(ours[chosen], theirs[chosen]), _kendall(ours[chosen], theirs[chosen]))
        )
    ends = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    return Agreement(
        name,
        _spearman(ours, theirs),
        (float(ends[0][0]), float(ends[1][0])),
        _kendall(ours, theirs),
        (float(ends[0][1]), float(ends[1][1])),
        len(kept),
    )


def table(found: Iterable[Agreement]) -> list[str]:
    rows = ["| metric | Spearman | Kendall's tau-b | judgements |", "|---|---|---|---|"]
    for one in sorted(found, key=lambda one: -one.spearman):
        ends = (f"{low:.2f} to {high:.2f}" for low, high in (one.spearman_ends, one.kendall_ends))
        told = f"{one.spearman:.2f} ({next(ends)}) | {one.kendall:.2f} ({next(ends)})"
        rows.append(f"| `{one.metric}` | {told} | {one.count} |")
    return rows


def _spearman(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    return float(stats.spearmanr(ours, theirs).statistic)


def _kendall(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    return float(stats.kendalltau(ours, theirs).statistic)


def _vector(kept: sqlite3.Connection, text: str) -> bytes:
    row = kept.execute(
        "select vector from vectors where text = ?", (hashlib.sha256(text.encode()).hexdigest(),)
    ).fetchone()
    return bytes(row[0])


def _lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.decode().splitlines() if line]


if __name__ == "__main__":
    main()
