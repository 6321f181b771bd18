"""The run: steps until the minutes are used up, with progress, checkpoints and a resume."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import LlamaForCausalLM

from gyre_retraining.recipes.reader.batches import Batch, batches_of
from gyre_retraining.recipes.reader.config import Recipe
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.loss import LearntSigns, Losses
from gyre_retraining.recipes.reader.prepare import Material
from gyre_retraining.recipes.reader.sampler import Sampler
from gyre_retraining.recipes.reader.steps import Steps
from gyre_retraining.recipes.reader.tokenizer import FITS, MISSES

CHECKPOINT = "checkpoint.pt"
_LOG_EVERY = 10


@dataclass
class Tally:
    """How far the run is; `seconds` counts training only, over all its sittings."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Trainer:
    """One run over its material; `checkpoint.pt` below `work` lets a later call go on."""

    def __init__(
        self, recipe: Recipe, material: Material, model: LlamaForCausalLM, work: Path
    ) -> None:
        self._recipe, self.material, self.model, self._work = recipe, material, model, work
        self.tally = Tally()
        self._layout = Layout(material.tokenizer)
        self._sampler = Sampler(material.shelf.train, material.items, material.rarity, self._layout)
        self._chance = random.Random(recipe.seed + 1)
        verdicts = material.tokenizer.convert_tokens_to_ids([FITS, MISSES])
        signs = LearntSigns(self._layout.choices, *verdicts)
        self._steps = Steps(model, recipe.run, signs)
        self._resume()

    def train(self) -> Tally:
        """Run to the end of the minutes; returns what was done, earlier sittings included."""
        whole = self._recipe.run.minutes * 60
        saved = self.tally.seconds
        with _progress() as bar:
            task = bar.add_task("training", total=whole, completed=int(saved), told="")
            while self.tally.seconds < whole:
                for batches in self._next_batches():
                    told = self._timed_step(batches)
                    if self.tally.steps % _LOG_EVERY == 0:
                        bar.update(task, completed=self.tally.seconds, told=self._told(told))
                if self.tally.seconds - saved > self._recipe.run.checkpoint_seconds:
                    saved = self.tally.seconds
                    self._save()
        self._save()
        return self.tally

    def _next_batches(self) -> list[tuple[Batch, ...]]:
        """Batches in groups of one a thread."""
        run = self._recipe.run
        started = time.monotonic()
        phase = self._recipe.phase_at(self._progress())
        drawn = batches_of(
            self._sampler,
            self._layout,
            phase,
            run.batch_tokens,
            run.answer_text,
            self._chance,
        )
        found = list(drawn)
        self.tally.seconds += time.monotonic() - started
        return [tuple(found[i : i + run.threads]) for i in range(0, len(found), run.threads)]

    def _timed_step(self, batches: tuple[Batch, ...]) -> Losses:
        started = time.monotonic()
        told = self._steps.take(batches, self.tally.steps, self._progress())
        self.tally.seconds += time.monotonic() - started
        self.tally.steps += 1
        self.tally.tokens += sum(batch.tokens for batch in batches)
        return told

    def _progress(self) -> float:
        return min(1.0, self.tally.seconds / (self._recipe.run.minutes * 60))

    def _told(self, found: Losses) -> str:
        parts = {"choice": found.choice, "fit": found.fit, "text": found.text}
        shown = " ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
        speed = self.tally.tokens / max(1.0, self.tally.seconds)
        line = (
            f"step {self.tally.steps} tokens {self.tally.tokens / 1e6:.2f}M {speed:.0f}/s {shown}"
        )
        with (self._work / "train.log").open("a") as log:
            log.write(f"{self.tally.seconds:.0f}s {line}\n")
        return line

    def _save(self) -> None:
        own = {"tally": vars(self.tally), "chance": self._chance.getstate()}
        part = self._work / "checkpoint.part"
        torch.save(self._steps.state() | own, part)
        part.replace(self._work / CHECKPOINT)

    def _resume(self) -> None:
        kept = self._work / CHECKPOINT
        if not kept.exists():
            return
        state = torch.load(kept, weights_only=True)
        self._steps.restore(state)
        self.tally = Tally(**state["tally"])
        self._chance.setstate(state["chance"])


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[told]}"))
