"""Which prompt, model and parameters shape an answer, and who says so."""

from __future__ import annotations

from dataclasses import dataclass, field

from gyre_inference.domain.experiments import Variant
from gyre_inference.domain.generation import Parameters


@dataclass(frozen=True)
class Choice:
    """What is empty is left to whoever is asked next: request, variant, step, settings."""

    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def is_free(self) -> bool:
        """Whether an experiment may choose: neither prompt nor model is asked for."""
        return not (self.prompt_name or self.prompt_version or self.model)

    def over(self, other: Choice) -> Choice:
        """This one, and the other's where it says nothing. A version goes with its name."""
        own = self.prompt_name or self.prompt_version
        return Choice(
            self.prompt_name or other.prompt_name,
            self.prompt_version if own else other.prompt_version,
            self.model or other.model,
            self.parameters.over(other.parameters),
        )


def chosen_by(variant: Variant) -> Choice:
    """What the variant says."""
    return Choice(variant.prompt_name, variant.prompt_version, variant.model, variant.parameters)
