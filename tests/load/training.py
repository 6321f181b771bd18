"""The language recipes of the catalogue over the reference model: minutes, memory, score.

    .venv-models/bin/python tests/load/training.py --data ../shared/data [--rows 500] [--only NAME]

Rows are FeedbackQA questions over eight sentences of their passage and of others of its page,
shuffled; the right answer cites a sentence of the passage. Score: share of 200 held-back questions
whose likeliest citation is right, before and after; `loss`: of the validation split. Passages of
held-back questions are in no training row. Prints a table for `recipes/results.md`. Needs the model
environment.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from gyre_retraining.recipes.job import Job, write_job
from gyre_retraining.recipes.language.models import tokenizer_of
from gyre_retraining.recipes.reader.corpus import rows
from gyre_retraining.recipes.reader.held_out import feedback_items
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.prompt import choices, user_message
from gyre_retraining.recipes.reader.scoring import verdicts
from gyre_retraining.recipes.schema import Recipe, catalogue, with_overrides
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2]
BASE = ROOT / "infra" / "triton" / "checkpoints" / "gyre-reader"
LISTED, SCORED, HELD_BACK = 8, 200, 60
HEAD = ("recipe", "data", "machine", "minutes", "memory MB", "loss", "score")
DEFAULT = (
    *("language-sft-full", "language-sft-lora", "language-kto", "language-dpo"),
    *("reward-model", "language-domain", "language-distill"),
)


def main() -> None:
    """One recipe after the other, each in a process of its own."""
    asked = _arguments()
    train, scored = _items(asked.data, asked.rows)
    print(f"{len(train)} training questions, {len(scored)} scored", file=sys.stderr)
    before = _score(BASE, scored)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for name in asked.only:
        print(_row(name, asked, train, scored, before), flush=True)


def _row(
    name: str, asked: argparse.Namespace, train: list[Item], scored: list[Item], before: float
) -> str:
    recipe = _recipe(name, asked.work)
    dataset = _dataset(recipe, train, scored, asked)
    changes = dict(one.split("=", 1) for one in asked.set)
    untrained = {"training.max_steps": "1", "training.learning_rate": "1.0e-12"}
    start = _run(recipe, dataset, asked.work / f"{name}-before", changes | untrained)
    began = time.monotonic()
    end = _run(recipe, dataset, asked.work / name, changes)
    minutes = (time.monotonic() - began) / 60
    if recipe.kind == "reward":
        score = f"pairs ordered rightly {_both(start, end, 'eval_accuracy')}"
    else:
        score = f"{before:.3f} → {_score(asked.work / name / 'model', scored):.3f}"
    cells = (
        name,
        f"FeedbackQA, {pq.read_metadata(dataset / 'train.parquet').num_rows} {recipe.form}",
        f"{os.cpu_count()} cores, {recipe.limits.threads} threads, load {os.getloadavg()[1]:.0f}",
        f"{minutes:.1f}",
        str(end["peak_memory_bytes"] >> 20),
        _both(start, end, "eval_loss"),
        score,
    )
    return f"| {' | '.join(cells)} |"


def _both(start: dict[str, Any], end: dict[str, Any], metric: str) -> str:
    return f"{start['metrics'][metric]:.3f} → {end['metrics'][metric]:.3f}"


def _recipe(name: str, work: Path) -> Recipe:
    recipe = catalogue()[name]
    if recipe.method != "distill":
        return recipe
    return with_overrides(
        recipe, {"distillation.teacher": str(work / "language-sft-full" / "model")}
    )


def _run(recipe: Recipe, dataset: Path, folder: Path, changes: dict[str, str]) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    job = Job(
        folder=folder,
        training_id=folder.name,
        recipe=with_overrides(recipe, changes),
        dataset=dataset,
        base_model=BASE,
        output=folder / "model",
        tracking_uri="",
        name=folder.name,
    )
    write_job(job)
    command = [sys.executable, "-m", "gyre_retraining.recipes", "run", "--job", str(folder)]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(job.error.read_text())
    result: dict[str, Any] = json.loads(job.result.read_text())
    return result


def _items(data: Path, count: int) -> tuple[list[Item], list[Item]]:
    """Training and scored items; a passage belongs to one of the two."""
    chance = random.Random(7)
    by_passage = defaultdict(list)
    for item in feedback_items(data, 10**6, 3):
        by_passage[item.sentences[min(item.answers)]].append(_listed(item, chance))
    groups = list(by_passage.values())
    chance.shuffle(groups)
    scored: list[Item] = []
    while len(scored) < SCORED:
        scored += groups.pop()
    return [item for group in groups for item in group][:count], scored[:SCORED]


def _listed(item: Item, chance: random.Random) -> Item:
    right = sorted(item.answers)
    wrong = [place for place in range(len(item.sentences)) if place not in item.answers]
    chosen = chance.sample(right, min(3, len(right)))
    chosen += chance.sample(wrong, min(LISTED - len(chosen), len(wrong)))
    chance.shuffle(chosen)
    return item.reordered(chosen)


def _dataset(
    recipe: Recipe, train: Sequence[Item], scored: Sequence[Item], asked: argparse.Namespace
) -> Path:
    folder: Path = asked.work / f"dataset-{recipe.form}"
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.form == "texts":
        made = _texts(asked.data)[: asked.rows + HELD_BACK]
    else:
        items = [*scored[:HELD_BACK], *train]
        made = [_made(recipe.form, item, place) for place, item in enumerate(items)]
    for split, some in (("validation", made[:HELD_BACK]), ("train", made[HELD_BACK:])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"{split}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"form": recipe.form}))
    return folder


def _texts(data: Path) -> list[dict[str, str]]:
    passages = rows(data / "dev" / "fb_feedbackqa" / "corpus.jsonl.gz")
    return [{"row_id": row["_id"], "text": row["text"]} for row in passages if row["text"].strip()]


def _made(form: str, item: Item, place: int) -> dict[str, Any]:
    cited = choices(item.sentences)
    right = cited[min(item.answers)]
    wrong = next(text for n, text in enumerate(cited) if n not in item.answers)
    messages = [{"role": "user", "content": user_message(item.question, item.sentences)}]
    columns: dict[str, dict[str, Any]] = {
        "demonstrations": {"completion": right},
        "preferences": {"chosen": right, "rejected": wrong},
        "thumbs": {"completion": right if place % 2 else wrong, "label": bool(place % 2)},
    }
    return {"row_id": str(place), "messages": messages, **columns[form]}


def _score(folder: Path, items: list[Item]) -> float:
    torch.set_num_threads(1)
    adapter = (folder / "adapter_config.json").exists()
    place = BASE if adapter else folder
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, use_safetensors=True)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder).merge_and_unload()
    told = verdicts(model, Layout(tokenizer_of(BASE)), items)
    right = [found.cited() in item.answers for found, item in zip(told, items, strict=True)]
    return sum(right) / len(right)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds dev/")
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "bench" / "training")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--only", nargs="+", default=list(DEFAULT))
    parser.add_argument("--set", nargs="*", default=[], help="values to change, as `path=text`")
    return parser.parse_args()


if __name__ == "__main__":
    main()
