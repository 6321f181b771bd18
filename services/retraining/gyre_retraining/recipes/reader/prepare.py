"""Data into a working folder: tokenizer, documents, real questions, word rarity."""

import gzip
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.config import Recipe
from gyre_retraining.recipes.reader.corpus import Document, Shelf, read_shelf, rows
from gyre_retraining.recipes.reader.facts import with_neighbours
from gyre_retraining.recipes.reader.held_out import Overlap, evaluation_texts
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.lexical import Rarity
from gyre_retraining.recipes.reader.pages import read_pages
from gyre_retraining.recipes.reader.qa_mix import read_qa_mix
from gyre_retraining.recipes.reader.tokenizer import train_tokenizer

_DEVELOPMENT = 400


@dataclass(frozen=True)
class Material:
    """What a run trains on. `development` items are real questions kept back from training."""

    tokenizer: PreTrainedTokenizerFast
    shelf: Shelf
    items: tuple[Item, ...]
    development: tuple[Item, ...]
    rarity: Rarity


def prepare(recipe: Recipe, data: Path, work: Path) -> Material:
    """Make the material from the data and keep it below `work`; a second call only reads it."""
    if not (work / "rarity.json").exists():
        work.mkdir(parents=True, exist_ok=True)
        _make(recipe, data, work)
    return _read(recipe, work)


def _make(recipe: Recipe, data: Path, work: Path) -> None:
    chance = random.Random(recipe.seed)
    shelf = read_shelf(data, recipe.corpus, recipe.seed)
    items = _real_items(data)
    chance.shuffle(items)
    lines = [sentence for document in shelf.train for sentence in document.sentences]
    rarity = Rarity.of(islice(lines, recipe.corpus.weighed))
    facts = with_neighbours([i for i in items if len(i.sentences) == 1], rarity, chance)
    widened = [i for i in items if len(i.sentences) > 1] + [
        i for i in facts if len(i.sentences) > 1
    ]
    chance.shuffle(widened)
    asked = [item.question for item in items] + [s for i in items[:5_000] for s in i.sentences]
    tokenizer = train_tokenizer(
        [*lines[: recipe.tokens.sentences], *asked], recipe.tokens.vocabulary
    )
    tokenizer.save_pretrained(work / "tokenizer")
    _write(work / "train.jsonl.gz", ({"s": d.sentences} for d in shelf.train))
    _write(work / "held_out.jsonl.gz", ({"s": d.sentences} for d in shelf.held_out))
    _write(work / "items.jsonl.gz", map(_row, widened))
    counts = {"sentence_count": rarity.sentence_count, "frequencies": rarity.frequencies}
    (work / "rarity.json").write_text(json.dumps(counts))


def _real_items(data: Path) -> list[Item]:
    overlap = Overlap(evaluation_texts(data))
    found = [*read_qa_mix(data), *read_pages(data)]
    return [i for i in found if not any(map(overlap.touches, (i.question, *i.sentences)))]


def _row(item: Item) -> dict[str, Any]:
    return {"o": item.source, "q": item.question, "s": item.sentences, "a": sorted(item.answers)}


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", compresslevel=3) as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def _read(recipe: Recipe, work: Path) -> Material:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    shelf = Shelf(
        tuple(Document(tuple(row["s"])) for row in rows(work / "train.jsonl.gz")),
        tuple(Document(tuple(row["s"])) for row in rows(work / "held_out.jsonl.gz")),
    )
    items = tuple(
        Item(row["o"], row["q"], tuple(row["s"]), frozenset(row["a"]))
        for row in rows(work / "items.jsonl.gz")
    )
    kept_back = min(_DEVELOPMENT, len(items) // 10)
    questions = {item.question for item in items[:kept_back]}
    training = tuple(item for item in items[kept_back:] if item.question not in questions)
    rarity = Rarity(**json.loads((work / "rarity.json").read_text()))
    return Material(tokenizer, shelf, training, items[:kept_back], rarity)
