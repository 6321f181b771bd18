"""Does the language model learn from judgements which sentence to cite? FeedbackQA, UK and CDC.

    python -m tests.load.language_feedback [--part validation] [--order document] [--set PATH=VALUE]

Every question goes through the answer path as the inference service walks it: hybrid search in its
country's passages, sentences scored by words and meaning, the best eight shown best first, the
reference model chooses which one to cite. A **rule** judges the answer, no person: it is right when
the sentence stands in the passage that the crowd wrote the question about. Whoever judges corrects
a wrong answer with the first sentence shown of that passage; where none is shown there is nothing
to correct. Right answers and corrections become a dataset of form `demonstrations`; the recipe is
run on it as a job, as the service does.

Measure: the share of all questions of a part, those included for which search finds nothing, whose
cited sentence is right; coverage's refusals are left out, they are the same for both models.
Candidate less champion on the same questions has its paired bootstrap interval. Parts: `held_back`,
the set's own validation split, which nothing else saw; `validation`, 400 questions of its training
split that are not trained on: choose by these. `--order document` shows the same eight sentences in
the order of their documents, as a prompt may ask for. The control is trained on the same lists,
each with the answer of another one.

Needs the exported embedding model in `var/models`. Everything is kept in `var/language_feedback`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from gyre_inference.domain.passages import Found, one_line, sentences_of
from gyre_inference.domain.selection import Scoring, context, score, with_meaning
from gyre_retraining.recipes.job import Job, write_job
from gyre_retraining.recipes.schema import CATALOGUE, read, with_overrides
from pyarrow import parquet

from tests.load.report import ROOT, Report, parser

sys.path.append(str(ROOT / "services" / "inference"))
from calibration.asking import LONGEST, POLICY
from calibration.knowledge import feedback_qa
from calibration.search import HybridSearch

PYTHON = ROOT / ".venv-models" / "bin" / "python"
DATA = ROOT.parent / "shared" / "data" / "dev" / "fb_feedbackqa"
WORK = ROOT / "var" / "language_feedback"
CHAMPION = ROOT / "infra" / "triton" / "checkpoints" / "gyre-reader"
EMBEDDER = ROOT / "var" / "models" / "all-minilm-l6-v2-openvino"
LISTED = 8
KEPT_FOR_CHOOSING = 400
DRAWS = 10_000
REGIONS = ("UK", "CDC")


def main() -> None:
    asked = _arguments()
    report = Report("language_feedback")
    WORK.mkdir(parents=True, exist_ok=True)
    lists = listed()
    if asked.order == "document":
        lists = [one.in_documents_order() for one in lists]
    train, measured = parts_of(lists, asked.part)
    told = [one for one in train if one.answers][: asked.rows or None]
    before = cited(CHAMPION, [*told, *measured])
    rows = judged(told, before[: len(told)])
    good = sum(one.right(mark) for one, mark in zip(told, before, strict=False))
    report.notes.append(
        f"{len(train)} questions asked for training, {len(told)} lists with a right sentence, "
        f"{good} answers judged right, {len(told) - good} corrected; "
        f"part {asked.part}, order {asked.order}"
    )
    for name, arm in ({"candidate": rows} | _control(rows, asked)).items():
        after = cited(trained(report, name, arm, asked), measured)
        tell(report, name, measured, before[len(told) :], after, train)
        report.save()


def _control(rows: list[dict[str, Any]], asked: argparse.Namespace) -> dict[str, Any]:
    return {} if asked.no_shuffled else {"shuffled": shuffled(rows)}


# --- lists ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """A question and the sentences that its prompt shows. answers: places of right ones.
    document: the places in the order of the documents."""

    question_id: str
    split: str
    question: str
    gold: str
    sentences: tuple[str, ...]
    answers: tuple[int, ...]
    document: tuple[int, ...] = ()

    def in_documents_order(self) -> Listed:
        """As a prompt shows them whose `order` is `document`."""
        return replace(
            self,
            sentences=tuple(self.sentences[place] for place in self.document),
            answers=tuple(n for n, place in enumerate(self.document) if place in self.answers),
            document=tuple(range(len(self.document))),
        )

    def right(self, place: int) -> bool:
        """Whether that sentence answers."""
        return place in self.answers

    @property
    def content(self) -> str:
        """The user message of the prompt `answer`."""
        numbered = "\n".join(self.marked)
        return f"Sentences:\n{numbered}\n\nQuestion: {self.question}"

    @property
    def marked(self) -> tuple[str, ...]:
        """The answers that a guide leaves."""
        return tuple(f"[{n}] {text}" for n, text in enumerate(self.sentences, start=1))


def listed() -> list[Listed]:
    """All questions of both countries; kept, for the embedding takes minutes."""
    kept = WORK / "lists.jsonl"
    if not kept.exists():
        found = [one for region in REGIONS for one in _listed(region, Vectors())]
        part = kept.with_suffix(".part")
        part.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found))
        part.replace(kept)
    return [_read(json.loads(line)) for line in kept.read_text().splitlines()]


def _read(row: dict[str, Any]) -> Listed:
    return Listed(**row | {"sentences": tuple(row["sentences"]), "answers": tuple(row["answers"])})


def _listed(region: str, vectors: Vectors) -> Iterable[Listed]:
    own = f"{region}-"
    passages = [one for one in feedback_qa(0).passages if one.chunk_id.startswith(own)]
    known = {one.chunk_id for one in passages}
    lines = (DATA / "questions.jsonl").read_text().splitlines()
    asked = [row for row in map(json.loads, lines) if row["passage"] in known]
    vectors.of([one.text for one in passages] + [row["question"] for row in asked])
    search = HybridSearch(passages, vectors)  # type: ignore[arg-type]
    by_words = [(row, _by_words(row["question"], search.search(row["question"]))) for row in asked]
    vectors.of([line for _, scoring in by_words for line in _lines(scoring)])
    for row, scoring in by_words:
        near = vectors.of(_lines(scoring)) @ vectors.of([row["question"]])[0]
        shown = [one.sentence for one in with_meaning(scoring, near.tolist()).best(LISTED).ranked]
        yield Listed(
            question_id=row["id"],
            split=row["split"],
            question=one_line(row["question"]),
            gold=row["passage"],
            sentences=tuple(one.line for one in shown),
            answers=tuple(
                place for place, one in enumerate(shown) if one.passage.chunk_id == row["passage"]
            ),
            document=tuple(sorted(range(len(shown)), key=lambda place: shown[place].place)),
        )


def _by_words(question: str, found: Found) -> Scoring:
    scoring = score(question, sentences_of(found, LONGEST), POLICY.weights)
    return scoring.best(POLICY.candidates)


def _lines(scoring: Scoring) -> list[str]:
    return [context(one.sentence) for one in scoring.ranked]


class Vectors:
    """Unit vectors of texts, each made once and kept in a file."""

    def __init__(self) -> None:
        self._cache = WORK / "vectors.sqlite"
        self._known: dict[str, np.ndarray] = {}

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """As `HybridSearch` asks."""
        return self.of(texts)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        if missing := [one for one in dict.fromkeys(texts) if one not in self._known]:
            self._make(missing)
        return np.stack([self._known[text] for text in texts])

    def _make(self, texts: Sequence[str]) -> None:
        program = Path(__file__).with_name("embed_offline.py")
        stdin = "\n".join(map(json.dumps, texts))
        subprocess.run([PYTHON, program, EMBEDDER, self._cache], input=stdin, text=True, check=True)
        with sqlite3.connect(self._cache) as kept:
            rows = dict(kept.execute("select text, vector from vectors"))
        for text in texts:
            mark = hashlib.sha256(text.encode()).hexdigest()
            self._known[text] = np.frombuffer(rows[mark], dtype="<f4")


def parts_of(lists: Sequence[Listed], part: str) -> tuple[list[Listed], list[Listed]]:
    """What is trained on and what is measured; no question stands in both."""
    ordered = sorted(lists, key=lambda one: one.question_id)
    training = [one for one in ordered if one.split == "train"]
    random.Random(11).shuffle(training)
    chosen, rest = training[:KEPT_FOR_CHOOSING], training[KEPT_FOR_CHOOSING:]
    held_back = [one for one in ordered if one.split == "valid"]
    measured = held_back if part == "held_back" else chosen
    own = {one.question.casefold() for one in [*held_back, *chosen]}
    return [one for one in rest if one.question.casefold() not in own], measured


# --- judgements -----------------------------------------------------------------------------------


def judged(lists: Sequence[Listed], marks: Sequence[int]) -> list[dict[str, Any]]:
    """Right answers as they are, wrong ones corrected: rows of form `demonstrations`."""
    return [
        {
            "row_id": one.question_id,
            "messages": [{"role": "user", "content": one.content}],
            "completion": one.marked[mark if one.right(mark) else one.answers[0]],
        }
        for one, mark in zip(lists, marks, strict=True)
    ]


def shuffled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each list with the place that is right in another one; how often each place is stays."""
    places = [row["completion"].split("]")[0] for row in rows]
    random.Random(5).shuffle(places)
    return [
        {**row, "completion": _said(row, f"{place}] ")}
        for row, place in zip(rows, places, strict=True)
    ]


def _said(row: Mapping[str, Any], mark: str) -> str:
    lines = row["messages"][0]["content"].splitlines()
    return next((line for line in lines if line.startswith(mark)), row["completion"])


# --- models ---------------------------------------------------------------------------------------


def cited(model: Path, lists: Sequence[Listed]) -> list[int]:
    """Of each list the place that the model cites under the guide; 0, unasked, where no place is
    right."""
    asked = [one for one in lists if one.answers]
    rows = "\n".join(json.dumps([one.content, len(one.sentences)]) for one in asked)
    program = Path(__file__).with_name("cite_offline.py")
    command = [PYTHON, program, model, CHAMPION]
    done = subprocess.run(command, input=rows, text=True, check=True, stdout=subprocess.PIPE)
    told = iter(done.stdout.split())
    return [int(next(told)) if one.answers else 0 for one in lists]


def trained(
    report: Report, name: str, rows: Sequence[dict[str, Any]], asked: argparse.Namespace
) -> Path:
    """The model that the recipe makes of the rows."""
    dataset = WORK / name / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    kept = max(1, len(rows) // 20)
    for split, some in (("validation", rows[:kept]), ("train", rows[kept:])):
        parquet.write_table(pa.Table.from_pylist(some), dataset / f"{split}.parquet")
    (dataset / "manifest.json").write_text(json.dumps({"form": "demonstrations"}))
    changes = dict(one.split("=", 1) for one in asked.set)
    recipe = with_overrides(read(CATALOGUE / f"{asked.recipe}.yaml"), changes)
    folder = WORK / name / "job"
    shutil.rmtree(folder, ignore_errors=True)
    job = Job(folder, name, recipe, dataset, CHAMPION, folder / "model", "", name)
    write_job(job)
    command = [PYTHON, "-m", "gyre_retraining.recipes", "run", "--job", folder]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(job.error.read_text())
    found = json.loads(job.result.read_text())
    report.notes.append(
        f"{name}: {len(rows) - kept} rows, {found['steps']} steps, {found['seconds']:.0f} s, "
        f"{found['peak_memory_bytes'] >> 20} MB, {' '.join(asked.set)}, "
        f"load {os.getloadavg()[1]:.0f}"
    )
    return folder / "model"


# --- what came of it ------------------------------------------------------------------------------


def tell(
    report: Report,
    name: str,
    lists: Sequence[Listed],
    before: Sequence[int],
    after: Sequence[int],
    train: Sequence[Listed],
) -> None:
    ours, theirs = _rights(lists, after), _rights(lists, before)
    first = _rights(lists, [0] * len(lists))
    there = np.array([bool(one.answers) for one in lists])
    report.add(f"first of the list, {len(lists)} questions", float(first.mean()), "share right")
    report.add("a right sentence is shown", float(there.mean()), "share")
    report.add(f"{name}; champion", float(ours.mean()), "share right", peer=float(theirs.mean()))
    low, high = interval(ours - theirs)
    report.add(f"{name} less champion", float((ours - theirs).mean()), "")
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    report.notes.append(f"{name}: {low:+.3f} to {high:+.3f} (95 %), {won} won, {lost} lost")
    known = {one.gold for one in train if one.answers}
    for what, some in (
        ("trained on", [one.gold in known for one in lists]),
        ("unknown", [one.gold not in known for one in lists]),
    ):
        picked = np.array(some)
        gain = float((ours - theirs)[picked].mean()) if picked.any() else 0.0
        report.notes.append(f"{name}: {gain:+.3f} on {picked.sum()} questions of passages {what}")


def _rights(lists: Sequence[Listed], marks: Sequence[int]) -> np.ndarray:
    pairs = zip(lists, marks, strict=True)
    return np.array([one.right(mark) for one, mark in pairs], dtype=float)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95 %, bootstrap over questions."""
    chance = np.random.default_rng(7)
    draws = chance.integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--part", choices=("held_back", "validation"), default="held_back")
    arguments.add_argument(
        "--order", choices=("best", "document"), default="best", help="of the sentences shown"
    )
    arguments.add_argument("--no-shuffled", action="store_true", help="without the control")
    arguments.add_argument("--rows", type=int, default=0, help="at most so many; 0: all")
    arguments.add_argument("--recipe", default="language-citations", help="name in the catalogue")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change the recipe"
    )
    return arguments.parse_args()


if __name__ == "__main__":
    main()
