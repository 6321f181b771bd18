"""What is asked of a model and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class FinishReason(Enum):
    """Why a text ended; the values are the contract's names."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    REFUSED = "REFUSED"


@dataclass(frozen=True)
class Message:
    """One message of a conversation; role is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True)
class Parameters:
    """How the model samples; None leaves it to the model. temperature 0 is greedy."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def over(self, defaults: Parameters) -> Parameters:
        """These parameters, and the defaults' where these say nothing."""
        said = {name: value for name, value in vars(self).items() if value not in (None, ())}
        return replace(defaults, **said)


def parameters_in(data: Mapping[str, Any]) -> Parameters:
    """Of plain data, as it stands in files."""
    return Parameters(**{**data, "stop": tuple(data.get("stop") or ())})


@dataclass(frozen=True)
class ModelRequest:
    """One generation.

    model: name on the model server; `MODEL+ADAPTER` for one of its LoRA adapters.
    choices: when given, the text is one of them, word by word (guided decoding).
    timeout: seconds the caller still has; None where it set no deadline.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters
    tenant: str
    request_id: str
    choices: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True)
class Usage:
    """Tokens as the model server counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True)
class Ending:
    """Said with the last piece. Durations in seconds, measured by the model server."""

    reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    queue: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Piece:
    """Text to append; the last piece carries the ending."""

    text: str
    ending: Ending | None = None
