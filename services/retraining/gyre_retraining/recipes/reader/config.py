"""One YAML is one training run; this file says what it may hold."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Corpus(_Strict):
    """Which text is read, in documents per source."""

    wikipedia: int = Field(9_000, ge=0)
    government: int = Field(4_000, ge=0)
    technical: int = Field(1_000, ge=0)
    held_out: int = Field(500, ge=1, description="documents kept back for evaluation")
    weighed: int = Field(150_000, ge=10, description="sentences that word rarity is counted on")


class Tokens(_Strict):
    """The byte-level BPE vocabulary."""

    vocabulary: int = Field(12_288, ge=400)
    sentences: int = Field(150_000, ge=100, description="sentences the merges are learnt from")


class Shape(_Strict):
    """LlamaForCausalLM, tied embeddings."""

    width: int = 192
    layers: int = Field(4, ge=4, description="the constructed start needs four")
    heads: int = 3
    inner: int = 256
    context: int = 1_024
    rope_theta: float = 500_000.0

    @model_validator(mode="after")
    def _heads_are_64_wide(self) -> Self:
        if self.width != self.heads * 64:
            raise ValueError("width must be heads * 64: the constructed start needs 64-wide heads")
        return self


class Phase(_Strict):
    """A stretch of the run, over a share of its minutes."""

    share: float = Field(gt=0, le=1)
    longest: int = Field(ge=64, description="tokens of one example")
    most_sentences: int = Field(ge=2, le=12)
    real: float = Field(ge=0, le=1, description="share of real questions")
    ranked: float = Field(ge=0, le=1, description="share listed best first, the rest shuffled")
    refused: float = Field(0.15, ge=0, lt=1, description="share whose answer was taken away")


class Run(_Strict):
    """How long and how fast."""

    minutes: float = Field(gt=0)
    batch_tokens: int = Field(4_480, ge=64)
    rate: float = 4e-4
    embedding_rate: float = 1e-4
    warmup_steps: int = 30
    decay_from: float = Field(0.55, ge=0, lt=1, description="share of the run at a full rate")
    averaged: float = Field(0.99, ge=0, lt=1, description="kept of the averaged weights each step")
    answer_text: float = Field(0.25, ge=0, le=1, description="share that also learns to repeat")
    threads: int = Field(2, ge=1, description="batches of one step, each on its own thread")
    bfloat16: bool = Field(False, description="multiply in bfloat16, where the CPU can")
    checkpoint_seconds: float = Field(60.0, gt=0)


class Recipe(_Strict):
    """Everything a run depends on besides the data and the code."""

    name: str
    seed: int = 0
    corpus: Corpus = Corpus()
    tokens: Tokens = Tokens()
    shape: Shape = Shape()
    embedding_start: bool = Field(
        True, description="token embeddings start from all-MiniLM-L6-v2 instead of at random"
    )
    leaning: float = Field(
        0.0,
        ge=0,
        description="added to the answer token towards the first mark when a run is exported: the"
        " caller's order is better than the one trained on; chosen on development lists",
    )
    phases: tuple[Phase, ...] = Field(min_length=1)
    run: Run

    @model_validator(mode="after")
    def _shares_make_one(self) -> Self:
        if abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError("the shares of the phases must add up to 1")
        return self

    def phase_at(self, progress: float) -> Phase:
        """The phase in force when `progress` (0 to 1) of the run is over."""
        passed = 0.0
        for phase in self.phases:
            passed += phase.share
            if progress < passed:
                return phase
        return self.phases[-1]


def load_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file; pydantic's error names every field that is wrong."""
    return Recipe.model_validate(yaml.safe_load(path.read_text()))
