"""Real customers' questions as live traffic, with MiniLM vectors made once and kept."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gyre_evaluation.domain.drift.traffic import Observation, Plan
from gyre_evaluation.domain.live import LiveAnswer, facts

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data" / "dev"
MODELS = ROOT / "var" / "models"
MODEL = MODELS / "all-minilm-l6-v2-openvino"
PYTHON = ROOT / ".venv-models" / "bin" / "python"
KEPT = ROOT / "var" / "measuring" / "vectors.sqlite"
SHARE_OUT_OF_SCOPE = 0.2
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def missing() -> str:
    """What is not there to measure with; empty where all is."""
    needed = {
        DATA / "cs_clinc150": "the data",
        PYTHON: "the model server's environment (`make setup`)",
    }
    return ", ".join(f"{what} at {path}" for path, what in needed.items() if not path.exists())


def questions() -> tuple[list[str], list[str]]:
    """In scope (clinc150 and banking77) and out of it (clinc150's own)."""
    inside: list[str] = []
    outside: list[str] = []
    for line in (DATA / "cs_clinc150" / "data_full.jsonl").read_text().splitlines():
        row = json.loads(line)
        (outside if row["intent"] == "oos" else inside).append(row["text"])
    for line in (DATA / "cs_banking77" / "train.jsonl").read_text().splitlines():
        inside.append(json.loads(line)["text"])
    return inside, outside


def vectors(texts: Iterable[str]) -> Mapping[str, bytes]:
    """By text; some 100 a second are made, those that are kept are not made again."""
    _export()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    wanted = sorted(set(texts))
    known = _kept()
    if absent := [text for text in wanted if _mark(text) not in known]:
        script = ROOT / "tests" / "load" / "embed_offline.py"
        stdin = "\n".join(map(json.dumps, absent))
        subprocess.run([PYTHON, script, MODEL, KEPT], input=stdin, text=True, check=True)
        known = _kept()
    return {text: known[_mark(text)] for text in wanted}


@dataclass(frozen=True)
class LiveTraffic:
    """One draw of a reference and windows of the same mix, then windows with strangers."""

    reference: list[str]
    same: list[list[str]]
    strange: list[list[str]]

    @classmethod
    def drawn(cls, seed: int, plan: Plan, same: int = 20, strange: int = 2) -> LiveTraffic:
        """No question is drawn twice."""
        chance = random.Random(seed)
        inside, outside = questions()
        chance.shuffle(inside)
        chance.shuffle(outside)
        asked = iter(inside)
        others = iter(outside)
        size = round(plan.window * SHARE_OUT_OF_SCOPE)
        reference = [next(asked) for _ in range(plan.reference)]
        windows = [[next(asked) for _ in range(plan.window)] for _ in range(same)]
        mixed = []
        for _ in range(strange):
            some = [next(asked) for _ in range(plan.window - size)]
            some += [next(others) for _ in range(size)]
            chance.shuffle(some)
            mixed.append(some)
        return cls(reference, windows, mixed)

    @property
    def texts(self) -> list[str]:
        return [*self.reference, *(text for some in self.same + self.strange for text in some)]


def observed(texts: Iterable[str], known: Mapping[str, bytes]) -> list[Observation]:
    """As the service remembers questions; their text stands for the answer's id."""
    return [
        Observation(
            text,
            _TIME,
            known[text],
            facts(LiveAnswer(text, "acme", "shop", _TIME, text, workload="generate")),
            {"language": "en"},
        )
        for text in texts
    ]


def _export() -> None:
    """The model as the platform exports it, where it did not yet."""
    if MODEL.is_dir():
        return
    source = MODELS / "all-minilm-l6-v2"
    copy = ("minilm", "--output", source)
    export = ("export-embedding", "--model-dir", source, "--output", MODEL)
    for words in (copy, export):
        subprocess.run([PYTHON, "-m", "gyre_models", *words], check=True)


def _kept() -> dict[str, bytes]:
    with sqlite3.connect(KEPT) as kept:
        kept.execute("create table if not exists vectors (text text primary key, vector blob)")
        return dict(kept.execute("select text, vector from vectors"))


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
