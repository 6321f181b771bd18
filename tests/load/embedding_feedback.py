"""Does the embedding model learn from what people thought of passages? FeedbackQA, UK and CDC.

    python -m tests.load.embedding_feedback [--judgements ratings|shown|pairs] [--part validation]

Three sources of judgements, all of questions that are not asked again when it is measured:

  ratings  two people's ratings of three passages that were shown for each of 315 questions: good
           where both say Acceptable or better, bad where both say worse
  shown    the same, and the questions of the training split are asked to the champion's hybrid
           search, which shows five passages. Who asked reads from the top: what stands above the
           passage that the crowd wrote the question about is judged bad, that passage is judged
           good, what stands below is not read. Where it is not among the five, nothing is judged.
           This is a rule computed from the set's own answers, not what a person said
  pairs    the same, and where it is not among the five, the five are bad and it is good

They become a dataset of form `pairs`; the recipe is run on it as a job, as the service does, and
once more with the judgements shuffled over the questions. Champion, candidate and the shuffled one
are exported to OpenVINO as they are served, and rank all passages of a domain for each question.
The measure is MRR@10 over the questions of both domains, dense; hybrid (fused with BM25 as
retrieval does) is told beside it. Differences to the champion have their paired bootstrap interval.

`--part held_back` (the default) reports the validation split, which nothing else saw; `--part
validation` reports 300 questions of the training split that are then not trained on: choose by
these. Everything is kept in `var/embedding_feedback`; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from gyre_retraining.recipes.job import Job, write_job
from gyre_retraining.recipes.schema import CATALOGUE, Recipe, read, with_overrides
from pyarrow import parquet

from tests.load.report import ROOT, Report, parser

PYTHON = ROOT / ".venv-models" / "bin" / "python"
WORK = ROOT / "var" / "embedding_feedback"
CHAMPION = ROOT / "var" / "models" / "all-minilm-l6-v2"
EXPORTED = ROOT / "var" / "models" / "all-minilm-l6-v2-openvino"
GOOD = frozenset({"Acceptable", "Excellent"})
SHOWN = 5
KEPT_FOR_CHOOSING = 150
DEPTH = 50
CUTOFF = 10
MINUTES = 10


def main() -> None:
    asked = _arguments()
    report = Report("embedding_feedback")
    _make_champion()
    domains = load_domains()
    champion = Vectors(EXPORTED)
    runs = {domain.name: ranked(domain, champion) for domain in domains}
    rows = [row for domain in domains for row in judged(domain, runs[domain.name], asked)]
    report.notes.append(
        f"{asked.judgements}: {len(rows)} questions and passages judged good, "
        f"{sum(len(row.bad) for row in rows)} judged bad; recipe {asked.recipe} "
        + " ".join(asked.set)
    )
    before = {mode: reciprocals(domains, runs, mode, asked.part) for mode in ("dense", "hybrid")}
    tell_level(report, "champion", before)
    arms = {"candidate": rows} | ({} if asked.no_shuffled else {"shuffled": shuffled(rows)})
    for name, arm in arms.items():
        vectors = Vectors(trained(report, name, arm, asked))
        after = {domain.name: ranked(domain, vectors) for domain in domains}
        tell(report, name, before, domains, after, asked.part)
    report.save()


def _arguments() -> argparse.Namespace:
    arguments = parser(__doc__ or "")
    arguments.add_argument(
        "--judgements", choices=("ratings", "shown", "pairs"), default="shown", help="see above"
    )
    arguments.add_argument("--part", choices=("held_back", "validation"), default="held_back")
    arguments.add_argument("--recipe", default="embedding-feedback", help="name in the catalogue")
    arguments.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change the recipe"
    )
    arguments.add_argument("--no-shuffled", action="store_true", help="without the control")
    return arguments.parse_args()


# --- passages and questions -----------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """answer: the passage that the crowd wrote it about."""

    question_id: str
    text: str
    answer: str
    part: str


@dataclass(frozen=True)
class Domain:
    """One country's pages. chunks: of a document, in order, as retrieval keeps them."""

    name: str
    one: Any
    chunks: Mapping[str, Sequence[str]]
    questions: Sequence[Question]
    rated: Sequence[Mapping[str, Any]]


def load_domains() -> list[Domain]:
    from tests.load.retrieval_quality import DATA, feedbackqa, lines, pieces_of

    folder = DATA / "fb_feedbackqa"
    asked = list(lines(folder / "questions.jsonl"))
    rated = list(lines(folder / "feedback.jsonl"))
    found = []
    for one in feedbackqa():
        region = one.name.removeprefix("FeedbackQA ")
        chunks = {row.document_id: tuple(pieces_of(row)) for row in one.documents}
        own = [row for row in asked if row["region"] == region]
        ratings = [row for row in rated if row["region"] == region]
        found.append(Domain(region, one, chunks, _split(own), ratings))
    return found


def _split(rows: Sequence[Mapping[str, str]]) -> list[Question]:
    """held_back: the set's own validation split; validation: of its training split."""
    training = sorted(row["id"] for row in rows if row["split"] == "train")
    chosen = set(random.Random(1).sample(training, KEPT_FOR_CHOOSING))
    parts = {row["id"]: "validation" if row["id"] in chosen else "training" for row in rows}
    parts |= {row["id"]: "held_back" for row in rows if row["split"] == "valid"}
    return [Question(row["id"], row["question"], row["passage"], parts[row["id"]]) for row in rows]


# --- vectors and rankings -------------------------------------------------------------------------


class Vectors:
    """Unit vectors of texts by an exported model, kept by the hash of its weights."""

    def __init__(self, exported: Path) -> None:
        self._model = exported
        digest = hashlib.sha256((exported / "model.bin").read_bytes()).hexdigest()
        self._cache = WORK / "vectors" / f"{digest[:16]}.sqlite"
        self._cache.parent.mkdir(parents=True, exist_ok=True)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        command = [PYTHON, Path(__file__).with_name("embed_offline.py"), self._model, self._cache]
        stdin = "\n".join(map(json.dumps, texts))
        subprocess.run(command, input=stdin, text=True, check=True)
        with sqlite3.connect(self._cache) as kept:
            known = dict(kept.execute("select text, vector from vectors"))
        marks = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        return np.stack([np.frombuffer(known[mark], dtype="<f4") for mark in marks])


def ranked(domain: Domain, vectors: Vectors) -> dict[str, dict[str, list[Any]]]:
    """Route -> question's text -> what it finds, 50 deep."""
    return asyncio.run(_ranked(domain, vectors))


async def _ranked(domain: Domain, vectors: Vectors) -> dict[str, dict[str, list[Any]]]:
    from gyre_retrieval.domain.index import Index
    from gyre_retrieval.domain.query import Conditions, Route
    from gyre_retrieval.settings import Settings

    from tests.load.feedback_ranking import CountedIndex
    from tests.load.retrieval_quality import part_of

    texts = [text for some in domain.chunks.values() for text in some]
    questions = list(
        dict.fromkeys(
            [ask.text for ask in domain.questions] + [row["question"] for row in domain.rated]
        )
    )
    matrix = vectors.of(texts + questions)
    settings = Settings()
    index = CountedIndex(settings.bm25_k1, settings.bm25_b)
    place = Index("measured", domain.one.collection, "measured", matrix.shape[1])
    at = 0
    for document in domain.one.documents:
        some = domain.chunks[document.document_id]
        part = part_of(domain.one, document, some, matrix[at : at + len(some)])
        await index.store(place, part.passages)
        at += len(some)
    conditions = Conditions("quality", domain.one.collection)
    asked = dict(zip(questions, matrix[len(texts) :], strict=True))
    return {
        route.value: {
            text: await index.search(
                place, route, vector if route is Route.DENSE else text, conditions, DEPTH
            )
            for text, vector in asked.items()
        }
        for route in Route
    }


def hits(run: Mapping[str, Mapping[str, Sequence[Any]]], text: str, mode: str) -> list[Any]:
    """What search answers to one question, best first."""
    from gyre_retrieval.domain.query import Mode
    from gyre_retrieval.domain.ranking import hits_of

    from tests.load.retrieval_quality import current_fusion

    taken = Mode(mode)
    rankings = {route: run[route.value][text] for route in taken.routes}
    return hits_of(taken, rankings, current_fusion())


def documents(found: Iterable[Any]) -> dict[str, str]:
    """Document -> its best chunk's text, best first."""
    texts: dict[str, str] = {}
    for hit in found:
        texts.setdefault(hit.passage.document.document_id, hit.passage.chunk.text)
    return texts


def reciprocals(
    domains: Sequence[Domain], runs: Mapping[str, Any], mode: str, part: str
) -> np.ndarray:
    """Reciprocal rank of each question's passage among the first ten; 0 where it is not there."""
    found = []
    for domain in domains:
        for ask in domain.questions:
            if ask.part == part:
                order = list(documents(hits(runs[domain.name], ask.text, mode)))[:CUTOFF]
                found.append(1 / (order.index(ask.answer) + 1) if ask.answer in order else 0.0)
    return np.array(found)


# --- judgements -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """A question, a passage judged good, and those judged bad."""

    domain: str
    question: str
    good: str
    bad: tuple[str, ...] = field(default=())


def judged(domain: Domain, run: Mapping[str, Any], asked: argparse.Namespace) -> list[Judged]:
    closed = {
        ask.text.strip().lower()
        for ask in domain.questions
        if ask.part in ("held_back", asked.part)
    }
    rows = list(_by_ratings(domain, run))
    if asked.judgements != "ratings":
        rows += _by_the_crowd(domain, run, asked)
    return [row for row in rows if row.question.strip().lower() not in closed]


def _by_ratings(domain: Domain, run: Mapping[str, Any]) -> Iterable[Judged]:
    verdicts: dict[str, dict[bool, list[str]]] = {}
    for row in domain.rated:
        said = {rating in GOOD for rating in row["ratings"]}
        if len(said) == 1:
            sides = verdicts.setdefault(row["question"], {True: [], False: []})
            sides[said.pop()].append(_best_chunk(domain, run, row["question"], row["passage"]))
    for question, sides in verdicts.items():
        for good in sides[True]:
            yield Judged(domain.name, question, good, tuple(sides[False]))


def _by_the_crowd(
    domain: Domain, run: Mapping[str, Any], asked: argparse.Namespace
) -> Iterable[Judged]:
    for ask in domain.questions:
        if ask.part in ("training", "validation"):
            shown = list(documents(hits(run, ask.text, "hybrid")).items())[:SHOWN]
            names = [document for document, _ in shown]
            if asked.judgements == "pairs" or ask.answer in names:
                read = names.index(ask.answer) if ask.answer in names else len(names)
                chunk = _best_chunk(domain, run, ask.text, ask.answer)
                bad = tuple(text for _, text in shown[:read])
                yield Judged(domain.name, ask.text, chunk, bad)


def _best_chunk(domain: Domain, run: Mapping[str, Any], question: str, document: str) -> str:
    """The one that search shows; the first where it shows none."""
    found = documents(hits(run, question, "hybrid"))
    return found.get(document, domain.chunks[document][0])


def shuffled(rows: Sequence[Judged]) -> list[Judged]:
    """The same questions and the same judgements, each of some other question of its domain."""
    mixed = []
    for name in sorted({row.domain for row in rows}):
        own = [row for row in rows if row.domain == name]
        order = random.Random(2).sample(range(len(own)), len(own))
        mixed += [
            Judged(name, row.question, own[other].good, own[other].bad)
            for row, other in zip(own, order, strict=True)
        ]
    return mixed


# --- the job --------------------------------------------------------------------------------------


def trained(report: Report, name: str, rows: Sequence[Judged], asked: argparse.Namespace) -> Path:
    """The exported candidate. What was trained before on the same is taken as it is."""
    recipe = with_overrides(
        read(CATALOGUE / f"{asked.recipe}.yaml"),
        dict(text.split("=", 1) for text in asked.set),
    )
    folder = WORK / "jobs" / _mark(recipe, rows)
    _write_dataset(folder / "dataset", rows, recipe)
    job = Job(
        folder=folder / "job",
        training_id=folder.name,
        recipe=recipe,
        dataset=folder / "dataset",
        base_model=CHAMPION,
        output=folder / "model",
        tracking_uri="",
        name=f"feedback-{name}",
    )
    write_job(job)
    _models("gyre_retraining.recipes", "run", "--job", str(job.folder))
    _tell_cost(report, name, json.loads(job.result.read_text()))
    exported = folder / "openvino"
    if not exported.exists():
        _export(job.output, exported)
    return exported


def _mark(recipe: Recipe, rows: Sequence[Judged]) -> str:
    content = json.dumps([recipe.model_dump(mode="json"), [vars(row) for row in rows]])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write_dataset(folder: Path, rows: Sequence[Judged], recipe: Recipe) -> None:
    """Split by question, so that no question is in both files."""
    folder.mkdir(parents=True, exist_ok=True)
    questions = sorted({row.question for row in rows})
    count = round(len(questions) * recipe.data.validation_share)
    kept = set(random.Random(3).sample(questions, count))
    parts = {
        "train": [row for row in rows if row.question not in kept],
        "validation": [row for row in rows if row.question in kept],
    }
    for part, some in parts.items():
        columns = {
            "row_id": [f"{part}-{place}" for place in range(len(some))],
            "query": [row.question for row in some],
            "positive": [row.good for row in some],
            "negatives": pa.array([list(row.bad) for row in some], pa.list_(pa.string())),
            "weight": [1.0] * len(some),
        }
        parquet.write_table(pa.table(columns), folder / f"{part}.parquet")
    manifest = {"form": "pairs", "counts": {part: len(some) for part, some in parts.items()}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _make_champion() -> None:
    if not CHAMPION.exists():
        _models("gyre_models", "minilm", "--output", str(CHAMPION))
    if not EXPORTED.exists():
        _export(CHAMPION, EXPORTED)


def _export(model: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _models("gyre_models", "export-embedding", "--model-dir", str(model), "--output", str(part))
    part.rename(target)


def _models(*arguments: str) -> None:
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    subprocess.run([PYTHON, "-m", *arguments], check=True, env=quiet)


# --- what is told ---------------------------------------------------------------------------------


def tell_level(report: Report, name: str, found: Mapping[str, np.ndarray]) -> None:
    for mode, values in found.items():
        report.add(f"{name}, {mode}: MRR@10 of {len(values)}", round(float(values.mean()), 4), "")


def tell(
    report: Report,
    name: str,
    before: Mapping[str, np.ndarray],
    domains: Sequence[Domain],
    runs: Mapping[str, Any],
    part: str,
) -> None:
    from tests.load.feedback_ranking import interval

    for mode, was in before.items():
        now = reciprocals(domains, runs, mode, part)
        low, high = interval(now - was)
        wanted = name == "candidate"
        report.add(f"{name}, {mode}: MRR@10", round(float(now.mean()), 4), "")
        report.add(
            f"{name}, {mode}: difference, 95 % {low:+.4f} to {high:+.4f}",
            round(float((now - was).mean()), 4),
            "",
            goal="interval above 0" if wanted else "interval not above 0",
            reached=(low > 0) is wanted,
        )


def _tell_cost(report: Report, name: str, result: Mapping[str, Any]) -> None:
    report.at_most(f"{name}: training", round(result["seconds"], 1), "s", MINUTES * 60)
    report.add(f"{name}: peak memory", round(result["peak_memory_bytes"] / 1e6), "MB")
    report.add(f"{name}: steps", result["steps"], "")


if __name__ == "__main__":
    main()
