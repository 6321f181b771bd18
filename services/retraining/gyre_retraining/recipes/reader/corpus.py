"""The text corpora as documents of sentences."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gyre_retraining.recipes.reader.config import Corpus
from gyre_retraining.recipes.reader.text import sentences

LONGEST_SENTENCE = 280
_MOST_SENTENCES = 60


@dataclass(frozen=True)
class Document:
    """Sentences of one document in order."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Shelf:
    """The documents to train on and those kept back."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file, gzipped or plain."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        yield from map(json.loads, lines)


def read_shelf(data: Path, corpus: Corpus, seed: int) -> Shelf:
    """Read `lm/*` below `data`, shuffled by the seed; the first documents are held out."""
    wanted = {
        "lm_wikipedia": corpus.wikipedia,
        "lm_gov_publicdomain": corpus.government,
        "lm_technical": corpus.technical,
    }
    found = [
        document
        for name, most in wanted.items()
        for row in islice(rows(data / "lm" / name / "train.jsonl.gz"), most)
        for document in _documents(row["text"])
    ]
    random.Random(seed).shuffle(found)
    return Shelf(tuple(found[corpus.held_out :]), tuple(found[: corpus.held_out]))


def _documents(text: str) -> Iterator[Document]:
    kept = [s for s in sentences(text[:40_000]) if 20 <= len(s) <= LONGEST_SENTENCE and _prose(s)]
    for start in range(0, len(kept), _MOST_SENTENCES):
        part = kept[start : start + _MOST_SENTENCES]
        if len(part) >= 4:
            yield Document(tuple(part))


def _prose(sentence: str) -> bool:
    return sum(c.isalpha() or c == " " for c in sentence) > 0.8 * len(sentence)
