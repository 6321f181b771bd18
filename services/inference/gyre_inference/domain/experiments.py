"""Experiments: who gets which variant."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from gyre_inference.domain.faults import Conflict
from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.record import Labels
from gyre_inference.domain.registry import NAME, message_violations
from gyre_inference.domain.requests import Violations, parameter_violations

_VARIANTS = 16


class StickyBy(Enum):
    """Whose answers are always of the same variant."""

    CONVERSATION = "conversation"
    END_USER = "end_user"


@dataclass(frozen=True)
class Variant:
    """One way of answering; what is empty is as it is without an experiment."""

    name: str
    weight: float
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True)
class Experiment:
    """workload: `answer`, `generate` or a chain's name. stop: None while it runs."""

    experiment_id: str
    workload: str
    variants: tuple[Variant, ...]
    sticky_by: StickyBy = StickyBy.CONVERSATION
    message: str = ""
    author: str = ""
    start: datetime | None = None
    stop: datetime | None = None

    @property
    def content(self) -> Experiment:
        """What the client said, without what the service added."""
        return replace(self, author="", start=None, stop=None)

    def variant_for(self, labels: Labels, otherwise: str) -> Variant:
        """The same for the same conversation or end user; `otherwise` stands in for both."""
        place = _place(self.experiment_id, self._unit(labels) or otherwise)
        total = sum(variant.weight for variant in self.variants)
        upto = 0.0
        for variant in self.variants:
            upto += variant.weight / total
            if place < upto:
                return variant
        return next(one for one in reversed(self.variants) if one.weight > 0)

    def _unit(self, labels: Labels) -> str:
        if self.sticky_by is StickyBy.CONVERSATION:
            return labels.conversation_id or labels.end_user
        return labels.end_user or labels.conversation_id


@dataclass(frozen=True)
class Assignment:
    """Which variant of which experiment shapes an answer."""

    experiment_id: str
    variant: Variant


def _place(experiment_id: str, unit: str) -> float:
    """0 to 1, the same in every process; another experiment mixes anew."""
    hashed = hashlib.sha256(f"{experiment_id}\n{unit}".encode()).digest()
    return float(int.from_bytes(hashed[:8], "big") / 2**64)


def experiment_violations(experiment: Experiment) -> Violations:
    """Every rule that it breaks by itself."""
    for name in ("experiment_id", "workload"):
        if not NAME.fullmatch(getattr(experiment, name)):
            yield name, "must match [a-z0-9._-]{1,64}"
    variants = experiment.variants
    if not 2 <= len(variants) <= _VARIANTS:
        yield "variants", f"must be 2 to {_VARIANTS}"
    if len({variant.name for variant in variants}) != len(variants):
        yield "variants", "names must differ"
    weights = [variant.weight for variant in variants]
    if any(not math.isfinite(weight) or weight < 0 for weight in weights) or not sum(weights):
        yield "variants", "weights must be at least 0, and one above it"
    yield from message_violations(experiment.message)
    for place, variant in enumerate(variants):
        yield from _variant(experiment, place, variant)


def _variant(experiment: Experiment, place: int, variant: Variant) -> Iterator[tuple[str, str]]:
    where = f"variants[{place}]"
    if not NAME.fullmatch(variant.name):
        yield f"{where}.name", "must match [a-z0-9._-]{1,64}"
    if variant.prompt_version and not variant.prompt_name:
        yield f"{where}.prompt_name", "is needed where prompt_version is set"
    if experiment.workload == "generate" and variant.prompt_name:
        yield f"{where}.prompt_name", "Generate has no prompt"
    for name, why in parameter_violations(variant.parameters):
        yield f"{where}.{name}", why


def unchanged(known: Experiment, wanted: Experiment) -> Experiment:
    """The one that is there. Raises `Conflict` where another one is wanted under its id."""
    if known.content != wanted.content:
        raise Conflict(
            f"the experiment {known.experiment_id!r} exists with another content: "
            "take a new id, experiments do not change"
        )
    return known
