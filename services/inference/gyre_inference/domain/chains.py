"""A chain: steps, each fed by those before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any


class StepKind(Enum):
    """What a step does."""

    RETRIEVE = "retrieve"
    SELECT = "select"
    GENERATE = "generate"
    EMBED = "embed"
    HTTP = "http"
    GUARD = "guard"
    CONDENSE = "condense"
    VERIFY = "verify"
    BRANCH = "branch"
    MAP = "map"


@dataclass(frozen=True)
class Step:
    """One step. arguments: by name, with templates in texts. then, otherwise: steps inside of a
    branch, or of a map (`then`)."""

    name: str
    kind: StepKind
    arguments: Mapping[str, Any] = field(default_factory=dict)
    then: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()

    def inside(self) -> Iterator[Step]:
        """This step and all that stand in it."""
        yield self
        for step in (*self.then, *self.otherwise):
            yield from step.inside()


@dataclass(frozen=True)
class Budget:
    """Most tokens, in and out together, and most seconds, of one run."""

    tokens: int = 16_384
    seconds: float = 120.0

    def at_most(self, tokens: int, seconds: float | None) -> Budget:
        """A caller may take less; 0 and None take all."""
        return Budget(
            min(tokens or self.tokens, self.tokens),
            self.seconds if seconds is None else min(seconds, self.seconds),
        )


@dataclass(frozen=True)
class Chain:
    """One immutable version. inputs: name -> default; those of `needed` have none.

    output: name of the step that makes what the chain makes.
    """

    name: str
    version: str
    digest: str
    steps: tuple[Step, ...]
    output: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget)
    description: str = ""

    def every_step(self) -> Iterator[Step]:
        """Those inside of others, too."""
        for step in self.steps:
            yield from step.inside()

    @cached_property
    def declared(self) -> frozenset[str]:
        """Names of all inputs."""
        return self.needed | self.inputs.keys()

    @cached_property
    def output_steps(self) -> frozenset[str]:
        """Names of the steps whose text is the chain's own: the output, or the ends of its arms."""
        return frozenset(_ends(next(one for one in self.steps if one.name == self.output)))


def _ends(step: Step) -> Iterator[str]:
    yield step.name
    if step.kind is StepKind.BRANCH:
        for arm in (step.then, step.otherwise):
            if arm:
                yield from _ends(arm[-1])
