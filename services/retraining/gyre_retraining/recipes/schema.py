"""One YAML is one training run; this file says what it may hold. No torch: the service reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CATALOGUE = Path(__file__).with_name("catalogue")

Kind = Literal["language", "embedding", "reward"]
Method = Literal["sft", "kto", "dpo", "reward", "domain", "distill", "contrastive"]
Form = Literal["demonstrations", "preferences", "thumbs", "texts", "pairs"]
Precision = Literal["float32", "bfloat16"]

# What each method makes, and what its rows are.
FITS: Mapping[Method, tuple[Kind, Form]] = {
    "sft": ("language", "demonstrations"),
    "kto": ("language", "thumbs"),
    "dpo": ("language", "preferences"),
    "reward": ("reward", "preferences"),
    "domain": ("language", "texts"),
    "distill": ("language", "demonstrations"),
    "contrastive": ("embedding", "pairs"),
}
# Sections that belong to some methods only.
OWNERS: Mapping[str, frozenset[Method]] = {
    "preference": frozenset({"kto", "dpo"}),
    "distillation": frozenset({"distill"}),
    "contrastive": frozenset({"contrastive"}),
}


class RecipeError(ValueError):
    """The recipe cannot be read, or holds what it may not; the message names every field."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Adapter(_Strict):
    """Train all weights (`none`) or a LoRA adapter beside them."""

    kind: Literal["none", "lora"] = "none"
    r: int = Field(8, ge=1, le=1024)
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = Field(
        ("q_proj", "v_proj"), min_length=1, description="names of the layers; `all-linear` is all"
    )


class Training(_Strict):
    """How long, how fast, how exact."""

    epochs: float = Field(1.0, gt=0)
    max_steps: int = Field(0, ge=0, description="optimiser steps; 0: as many as the epochs need")
    batch_size: int = Field(8, ge=1, description="rows of one forward pass of one process")
    gradient_accumulation: int = Field(1, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    scheduler: Literal["constant", "linear", "cosine"] = "linear"
    weight_decay: float = Field(0.0, ge=0)
    max_length: int = Field(512, ge=8, description="tokens of one row; longer ones are cut")
    answer_tokens: int = Field(
        0,
        ge=0,
        description="learn only so many first tokens of an answer, 0: all and its end; where a"
        " guide leaves a choice of citations, the first token is the choice",
    )
    choices: tuple[str, ...] = Field(
        (),
        description="where a guide leaves only answers that begin so: the loss is that of choosing"
        " among their first tokens; needs `answer_tokens: 1`",
    )
    seed: int = Field(0, ge=0)
    evaluate_every: int = Field(0, ge=0, description="steps; 0: at the end only")
    checkpoint_every: int = Field(50, ge=1, description="steps")
    precision: Precision = Field("float32", description="what is multiplied")
    weights: Precision = Field("float32", description="what is kept while training")
    gradient_checkpointing: bool = False


class Data(_Strict):
    """Which rows become the dataset."""

    minimum_rows: int = Field(100, ge=1, description="fewer training rows: nothing is trained")
    maximum_rows: int = Field(0, ge=0, description="0: no limit")
    validation_share: float = Field(0.1, gt=0, lt=1)
    account_cap: int = Field(50, ge=1, description="rows that one account may give")
    slices: tuple[str, ...] = Field(("language",), description="rows are stratified by these")
    slice_cap: float = Field(1.0, gt=0, le=1, description="share of one slice at most")
    decontaminate: bool = True
    seed: int = Field(0, ge=0)


class Limits(_Strict):
    """What the job may take of its machine."""

    memory_mb: int = Field(0, ge=0, description="resident memory; 0: no limit")
    minutes: float = Field(0.0, ge=0, description="over all sittings; 0: no limit")
    threads: int = Field(0, ge=0, description="of one process; 0: as torch chooses")
    nice: int = Field(10, ge=0, le=19)


class Accelerate(_Strict):
    """Processes of one machine, one a GPU where there are some."""

    processes: int = Field(1, ge=1)
    fsdp: bool = Field(False, description="shard weights, gradients and optimiser over processes")


class Preference(_Strict):
    """KTO and DPO."""

    beta: float = Field(0.1, gt=0, description="how near to the base model it must stay")
    desirable_weight: float = Field(1.0, gt=0, description="KTO: weight of thumbs up")
    undesirable_weight: float = Field(1.0, gt=0, description="KTO: weight of thumbs down")


class Distillation(_Strict):
    """Learning from a larger model with the same tokenizer."""

    teacher: str = Field(min_length=1, description="folder of the teacher's model")
    temperature: float = Field(1.0, gt=0)
    divergence: float = Field(
        0.5, ge=0, le=1, description="0: forward KL, 1: reverse KL, between: Jensen-Shannon"
    )
    own_share: float = Field(0.0, ge=0, le=1, description="share of batches of own answers")


class Contrastive(_Strict):
    """Embedding models: a question near to its passage, far from all others of the batch."""

    scale: float = Field(20.0, gt=0, description="of the cosine, before the softmax")
    hard_negatives: int = Field(1, ge=0, description="passages judged bad, per row")
    mini_batch_size: int = Field(
        0, ge=0, description="rows embedded at a time with cached gradients; 0: the whole batch"
    )
    query_prompt: str = ""
    passage_prompt: str = ""


class Span(_Strict):
    """Values from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic span must be above zero")
        return self


class Choice(_Strict):
    """One of some values."""

    values: tuple[float | int | str | bool, ...] = Field(min_length=1)


class Search(_Strict):
    """Hyper-parameters tried by Optuna, quality against cost and time."""

    space: dict[str, Span | Choice] = Field(
        min_length=1, description="path of the recipe, e.g. `training.learning_rate`"
    )
    trials: int = Field(8, ge=1)
    minutes: float = Field(10.0, gt=0, description="no new trial begins afterwards")
    metric: str = "eval_loss"
    greater_is_better: bool = False
    seed: int = Field(0, ge=0)


class Export(_Strict):
    """What is made of the weights for the engine that serves them."""

    quantise: Literal["none", "int8"] = "none"
    merge: bool = Field(False, description="LoRA: add it to the base model's weights")


class Recipe(_Strict):
    """Everything a run depends on besides the dataset, the base model's files and the code."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    description: str = Field(min_length=1)
    kind: Kind
    method: Method
    form: Form
    base_model: str = Field(min_length=1, description="its name in the registry, e.g. gyre-reader")
    adapter: Adapter = Adapter()
    training: Training = Training()
    data: Data = Data()
    limits: Limits = Limits()
    accelerate: Accelerate = Accelerate()
    preference: Preference | None = None
    distillation: Distillation | None = None
    contrastive: Contrastive | None = None
    search: Search | None = None
    export: Export = Export()

    @model_validator(mode="after")
    def _method_fits(self) -> Self:
        if (self.kind, self.form) != FITS[self.method]:
            kind, form = FITS[self.method]
            raise ValueError(f"method {self.method} makes kind {kind} of form {form}")
        for section, owners in OWNERS.items():
            if getattr(self, section) is not None and self.method not in owners:
                raise ValueError(f"section {section} does not belong to method {self.method}")
        if self.training.choices and (self.method != "sft" or self.training.answer_tokens != 1):
            raise ValueError("training.choices needs method sft and training.answer_tokens 1")
        if self.method == "distill" and self.distillation is None:
            raise ValueError("method distill needs section distillation: it names the teacher")
        return self

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.export.quantise == "int8" and self.kind != "embedding":
            raise ValueError("export.quantise: only the engine of embedding models serves int8")
        if self.adapter.kind == "lora" and self.kind == "reward":
            raise ValueError("adapter: a reward model is not served, it is trained whole")
        if self.export.merge and self.adapter.kind != "lora":
            raise ValueError("export.merge: there is no adapter to merge")
        if self.accelerate.fsdp and self.accelerate.processes == 1:
            raise ValueError("accelerate.fsdp: one process has nobody to share with")
        return self

    @model_validator(mode="after")
    def _search_changes_what_is_there(self) -> Self:
        known = self.model_dump(exclude={"search"})
        for path in self.search.space if self.search else ():
            if _reached(known, path) is None:
                raise ValueError(f"search.space: the recipe has no value at {path}")
        return self


def read(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises `RecipeError`."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, RecipeError) as error:
        raise RecipeError(f"{path.name}: {error}") from error


def parse(values: Any) -> Recipe:
    """The recipe in what YAML or JSON gave. Raises `RecipeError`."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_told(error)) from error


def catalogue(folder: Path = CATALOGUE) -> dict[str, Recipe]:
    """Every recipe of the folder by its name. Raises `RecipeError` where one is not valid."""
    found = {path.stem: read(path) for path in sorted(folder.glob("*.yaml"))}
    if strange := [stem for stem, recipe in found.items() if stem != recipe.name]:
        raise RecipeError(f"a recipe's file is called as the recipe: {', '.join(strange)}")
    return found


def with_overrides(recipe: Recipe, overrides: Mapping[str, str]) -> Recipe:
    """The recipe with values changed by their path; texts are read as YAML (`2`, `true`, `[a]`).

    Raises `RecipeError` for a path that is not there or a value that is not allowed.
    """
    values = recipe.model_dump(mode="json")
    for path, text in overrides.items():
        *sections, last = path.split(".")
        place = _reached(values, ".".join(sections)) if sections else values
        if not isinstance(place, dict) or last not in place or path == "name":
            raise RecipeError(f"{path}: the recipe has no such value to change")
        place[last] = yaml.safe_load(text)
    return parse(values)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 in hex over the canonical JSON, defaults included: equal recipes, equal hash."""
    canonical = json.dumps(recipe.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as `read` reads it."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _reached(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _told(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, found['loc'])) or 'recipe'}: {found['msg']}"
        for found in error.errors(include_url=False)
    )
