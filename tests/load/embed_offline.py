"""Texts to MiniLM vectors without a server: run by `.venv-models` for `retrieval_quality.py`.

    embed_offline.py <OpenVINO model directory> <cache>

Reads JSON strings, one per line, from standard input. Puts unit float32 vectors into the SQLite
cache under the SHA-256 of each text; a text that is there already is skipped, so a run that was
stopped goes on where it stood. Texts are cut at 256 tokens, as the served model cuts them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import openvino
from tokenizers import Tokenizer

BATCH = 16
MAX_TOKENS = 256


def main(model_directory: str, cache: str) -> None:
    folder = Path(model_directory)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    model = openvino.Core().compile_model(
        folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    vectors = sqlite3.connect(cache)
    vectors.execute("create table if not exists vectors (text text primary key, vector blob)")
    texts = sorted({json.loads(line) for line in sys.stdin}, key=len)
    known = {row[0] for row in vectors.execute("select text from vectors")}
    missing = [text for text in texts if mark(text) not in known]
    embed_all(missing, model, tokenizer, vectors)


def embed_all(
    texts: list[str],
    model: openvino.CompiledModel,
    tokenizer: Tokenizer,
    vectors: sqlite3.Connection,
) -> None:
    started = time.monotonic()
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        rows = zip(map(mark, some), embed(some, model, tokenizer), strict=True)
        vectors.executemany("insert into vectors values (?, ?)", rows)
        vectors.commit()
        show(start + len(some), len(texts), started)


def embed(texts: list[str], model: openvino.CompiledModel, tokenizer: Tokenizer) -> list[bytes]:
    encodings = tokenizer.encode_batch(texts)
    ids = np.array([one.ids for one in encodings], dtype=np.int64)
    mask = np.array([one.attention_mask for one in encodings], dtype=np.int64)
    found = model([ids, mask])[0]
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    return [vector.astype("<f4").tobytes() for vector in unit]


def mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def show(done: int, total: int, started: float) -> None:
    rate = done / max(time.monotonic() - started, 1e-9)
    end = "\n" if done == total else ""
    sys.stderr.write(f"\rembedded {done} of {total} texts, {rate:.1f}/s {end}")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
