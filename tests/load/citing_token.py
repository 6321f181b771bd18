"""Why demonstrations taught no better citation: one vector, learnt from three sets of labels.

    .venv-models/bin/python -m tests.load.citing_token [--order document] [--rows 260]

Over the lists that `language_feedback.py` keeps in `var/language_feedback`. Only the vector of the
token that begins an answer is learnt (192 numbers, where the model's lean towards the first mark
lies); all before it is computed once, so that it takes a minute on one core. Labels of each list:

  multi      any sentence of the right passage is right: what the rule says
  single     one sentence: the champion's own where it was right, else the first right one shown:
             what approved answers and corrections say
  corrected  the same, only lists in which the champion was wrong

Labels and epochs are chosen on 160 questions of the training split; the set's validation split
(all of it: where no right sentence is shown both models are wrong) is then asked once. Prints the
paired bootstrap interval of candidate less champion.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gyre_retraining.recipes.language.models import tokenizer_of
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from transformers import AutoModelForCausalLM, DynamicCache

ROOT = Path(__file__).parents[2]
BASE = ROOT / "infra" / "triton" / "checkpoints" / "gyre-reader"
LISTS = ROOT / "var" / "language_feedback" / "lists.jsonl"
ANSWER = "<|answer|>"
ROWS, TUNING, DRAWS, EPOCHS, RATE = 16, 160, 10_000, 4, 3e-3


class Citing:
    """The model with everything before the last token of each prompt computed once."""

    def __init__(self, model: Any, layout: Layout, items: list[Item]) -> None:
        self._model, self._marks = model.model, layout.marks
        self._head = model.get_input_embeddings().weight
        self.items, self.batches = items, []
        examples = [layout.example(item) for item in items]
        order = sorted(range(len(items)), key=lambda place: examples[place].answer)
        for start in range(0, len(order), ROWS):
            some = order[start : start + ROWS]
            self.batches.append(self._before([examples[n].ids for n in some], some, layout.pad))

    @torch.no_grad()
    def _before(self, ids: list[list[int]], places: list[int], pad: int) -> tuple[Any, ...]:
        lengths = [len(one) - 1 for one in ids]
        asked = torch.full((len(ids), max(lengths)), pad)
        mask = torch.zeros(len(ids), max(lengths) + 1, dtype=torch.long)
        mask[:, -1] = 1
        for row, (one, length) in enumerate(zip(ids, lengths, strict=True)):
            asked[row, :length] = torch.tensor(one[:length])
            mask[row, :length] = 1
        kept = self._model(input_ids=asked, attention_mask=mask[:, :-1], use_cache=True)
        layers = [(layer.keys, layer.values) for layer in kept.past_key_values.layers]
        return places, layers, mask, torch.tensor(lengths)[:, None]

    def told(self, vector: torch.Tensor, batch: tuple[Any, ...]) -> list[torch.Tensor]:
        """Log-probabilities of the marks of each list of the batch."""
        places, layers, mask, positions = batch
        cache = DynamicCache()
        for depth, (keys, values) in enumerate(layers):
            cache.update(keys, values, depth)
        hidden = self._model(
            inputs_embeds=vector.expand(len(places), 1, -1),
            past_key_values=cache,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
        ).last_hidden_state[:, 0]
        logits = hidden @ self._head[self._marks].T
        sizes = [len(self.items[place].sentences) for place in places]
        return [row[:size].log_softmax(-1) for row, size in zip(logits, sizes, strict=True)]

    @torch.no_grad()
    def cited(self, vector: torch.Tensor) -> np.ndarray:
        """Place of the likeliest mark of each list."""
        found = np.zeros(len(self.items), dtype=int)
        for batch in self.batches:
            for place, row in zip(batch[0], self.told(vector, batch), strict=True):
                found[place] = int(row.argmax())
        return found

    def rights(self, cited: np.ndarray) -> np.ndarray:
        """Whether each answers."""
        pairs = zip(cited, self.items, strict=True)
        return np.array([int(place) in item.answers for place, item in pairs])


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).requires_grad_(False)
    tokenizer = tokenizer_of(BASE)
    layout = Layout(tokenizer)
    start = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(ANSWER)].clone()
    learnt, tuning, held_back, count = _parts(asked)
    train, tune = Citing(model, layout, learnt), Citing(model, layout, tuning)
    champion = train.cited(start)
    found = {("champion", 0): (train_share(tune, start), start)}
    print(f"champion: {found['champion', 0][0]:.3f} of {len(tuning)} tuning lists", flush=True)
    for labels in ("multi", "single", "corrected"):
        for epoch, vector in enumerate(learn(train, start, labels, champion), start=1):
            share = train_share(tune, vector)
            found[labels, epoch] = (share, vector)
            print(f"{labels}, epoch {epoch}: {share:.3f}", flush=True)
    best = max(found, key=lambda one: found[one][0])
    print(f"chosen: {best[0]}, epoch {best[1]}", flush=True)
    report(Citing(model, layout, held_back), start, found[best][1], count)


def train_share(some: Citing, vector: torch.Tensor) -> float:
    """Share of the lists whose cited sentence answers."""
    return float(some.rights(some.cited(vector)).mean())


def learn(train: Citing, start: torch.Tensor, labels: str, champion: np.ndarray) -> Any:
    """The vector after each epoch."""
    vector = start.clone().requires_grad_(True)
    optimiser = torch.optim.AdamW([vector], lr=RATE, weight_decay=0.0)
    for epoch in range(EPOCHS):
        batches = list(train.batches)
        random.Random(epoch).shuffle(batches)
        for batch in batches:
            losses = []
            for place, row in zip(batch[0], train.told(vector, batch), strict=True):
                if right := _labels(train.items[place], labels, int(champion[place])):
                    losses.append(-row[right].logsumexp(0))
            if losses:
                torch.stack(losses).mean().backward()
                optimiser.step()
                optimiser.zero_grad()
        yield vector.detach().clone()


def _labels(item: Item, labels: str, champion: int) -> list[int]:
    right = sorted(item.answers)
    if labels == "multi":
        return right
    if champion in item.answers:
        return [champion] if labels == "single" else []
    return right[:1]


def report(shown: Citing, start: torch.Tensor, vector: torch.Tensor, count: int) -> None:
    before, after = (shown.rights(shown.cited(one)) for one in (start, vector))
    change = np.zeros(count)
    change[: len(before)] = after.astype(int) - before.astype(int)
    draws = np.random.default_rng(7).integers(0, count, (DRAWS, count))
    low, high = np.percentile(change[draws].mean(axis=1), (2.5, 97.5))
    print(
        f"{count} held-back questions, {len(before)} with a right sentence shown: champion "
        f"{before.sum() / count:.3f}, candidate {after.sum() / count:.3f}, difference "
        f"{change.mean():+.3f} ({low:+.3f} to {high:+.3f}), "
        f"{(change > 0).sum()} won, {(change < 0).sum()} lost"
    )


def _parts(asked: argparse.Namespace) -> tuple[list[Item], list[Item], list[Item], int]:
    rows = [json.loads(line) for line in LISTS.read_text().splitlines()]
    train = sorted((r for r in rows if r["split"] == "train"), key=lambda r: r["question_id"])
    random.Random(11).shuffle(train)
    items = [_item(row, asked.order) for row in train if row["answers"]]
    valid = [row for row in rows if row["split"] == "valid"]
    held_back = [_item(row, asked.order) for row in valid if row["answers"]]
    return items[TUNING : TUNING + asked.rows], items[:TUNING], held_back, len(valid)


def _item(row: dict[str, Any], order: str) -> Item:
    item = Item("", row["question"], tuple(row["sentences"]), frozenset(row["answers"]))
    return item.reordered(row["document"]) if order == "document" else item


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--order", choices=("best", "document"), default="best")
    parser.add_argument("--rows", type=int, default=260)
    return parser.parse_args()


if __name__ == "__main__":
    main()
