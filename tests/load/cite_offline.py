"""Which sentence a model cites: run by `.venv-models` for `language_feedback.py`.

    cite_offline.py <model> <folder of its tokenizer>

Reads JSON `[user message, number of sentences]`, one per line, from standard input; prints the
place of the likeliest mark of each, from 0. That is what a guide that leaves the citations alone
makes it say: a mark is one token, and the first one of the answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from gyre_retraining.recipes.language.models import tokenizer_of
from gyre_retraining.recipes.language.render import prompt
from transformers import AutoModelForCausalLM

ROWS = 16


@torch.no_grad()
def main(folder: Path, named: Path) -> None:
    torch.set_num_threads(1)
    tokenizer = tokenizer_of(named)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    rows = [json.loads(line) for line in sys.stdin if line.strip()]
    texts = [prompt(tokenizer, [{"role": "user", "content": text}]) for text, _ in rows]
    asked = [tokenizer(text)["input_ids"] for text in texts]
    order = sorted(range(len(rows)), key=lambda place: len(asked[place]))
    told: dict[int, int] = {}
    for start in range(0, len(order), ROWS):
        some = order[start : start + ROWS]
        ids = torch.full((len(some), max(len(asked[place]) for place in some)), 0)
        for row, place in enumerate(some):
            ids[row, : len(asked[place])] = torch.tensor(asked[place])
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(some)), [len(asked[place]) - 1 for place in some]]
        logits = model.lm_head(last)
        for row, place in enumerate(some):
            shown = range(1, rows[place][1] + 1)
            marks = [tokenizer.convert_tokens_to_ids(f"[{number}]") for number in shown]
            told[place] = int(logits[row, marks].argmax()) if marks else 0
    print("\n".join(str(told[place]) for place in range(len(rows))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
