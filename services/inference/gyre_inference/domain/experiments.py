"""Experiments: who gets which variant."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from gyre_inference.domain.allocation import (
    Allocation,
    Weighing,
    allocation_violations,
    moved,
    weighed,
)
from gyre_inference.domain.faults import Conflict
from gyre_inference.domain.generation import Parameters
from gyre_inference.domain.record import Labels
from gyre_inference.domain.registry import NAME, message_violations
from gyre_inference.domain.requests import Violations, parameter_violations
from gyre_inference.domain.sequential import Arm

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
    """workload: `answer`, `generate` or a chain's name. stop: None while it runs. allocation: None
    where shares stay; weighing: None while they are as the weights say."""

    experiment_id: str
    workload: str
    variants: tuple[Variant, ...]
    sticky_by: StickyBy = StickyBy.CONVERSATION
    message: str = ""
    author: str = ""
    start: datetime | None = None
    stop: datetime | None = None
    allocation: Allocation | None = None
    weighing: Weighing | None = None

    @property
    def content(self) -> Experiment:
        """What the client said, without what the service added."""
        return replace(self, author="", start=None, stop=None, weighing=None)

    @property
    def declared(self) -> Mapping[str, float]:
        """Share of each variant by the weights, in their order."""
        total = sum(variant.weight for variant in self.variants)
        return {variant.name: variant.weight / total for variant in self.variants}

    @property
    def shares(self) -> Mapping[str, float]:
        """Those in force."""
        if self.weighing is None:
            return self.declared
        return {one.name: one.share for one in self.weighing.variants}

    def variant_for(self, labels: Labels, otherwise: str) -> Variant:
        """The same for the same conversation or end user while shares stay; where they move, those
        between the old and the new borders change. `otherwise` stands in for both."""
        place = _place(self.experiment_id, self._unit(labels) or otherwise)
        shares = self.shares
        upto = 0.0
        for variant in self.variants:
            upto += shares[variant.name]
            if place < upto:
                return variant
        return next(one for one in reversed(self.variants) if shares[one.name] > 0)

    def read(self, variant: str, metric: str, value: float) -> float | None:
        """More being better; None where the judgement does not count."""
        if self.allocation is None or self.stop or variant not in self.declared:
            return None
        return self.allocation.read(metric, value)

    def known(self, sums: Mapping[str, Arm], now: datetime) -> Weighing:
        """What judgements say, at the shares in force. sums: by variant."""
        return Weighing(0, now, weighed(self.shares, sums))

    def reweighted(self, sums: Mapping[str, Arm], now: datetime) -> Weighing | None:
        """The shares that are to be in force next; None where they stay."""
        if self.allocation is None:
            return None
        variants = moved(self.allocation, self.declared, weighed(self.shares, sums))
        return None if variants is None else Weighing(self.next_number, now, variants)

    @property
    def next_number(self) -> int:
        """Of the weighing to come."""
        return self.weighing.number + 1 if self.weighing else 1

    def stopped(self, sums: Mapping[str, Arm], now: datetime) -> Experiment:
        """At its stop, with what is known of it."""
        last = replace(self.known(sums, now), number=self.next_number) if self.allocation else None
        return replace(self, stop=now, weighing=last)

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
    elif experiment.allocation is not None:
        shares = [weight / sum(weights) for weight in weights]
        yield from allocation_violations(experiment.allocation, shares)
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
