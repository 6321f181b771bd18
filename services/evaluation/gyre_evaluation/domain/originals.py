"""An answer as it was given, with what is needed to give it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gyre_evaluation.domain.metrics.case import Cited, Evidence


@dataclass(frozen=True, slots=True)
class Original:
    """arguments: those that the prompt was rendered with, JSON by name; empty where no model was
    asked, or plain chat. messages: (role, content) of plain chat. Seconds, tokens."""

    answer_id: str = ""
    workload: str = ""
    collection: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    refused: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    citations: tuple[Cited, ...] = ()
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def passages(self) -> tuple[Evidence, ...]:
        """What the answer was given to stand on."""
        return passages_in(self.arguments)


def original_from(given: Mapping[str, Any]) -> Original:
    """From its JSON."""
    return Original(
        **{
            **given,
            "messages": tuple((role, content) for role, content in given["messages"]),
            "citations": tuple(Cited(**one) for one in given["citations"]),
        }
    )


def passages_in(arguments: Mapping[str, str]) -> tuple[Evidence, ...]:
    """Texts that a prompt was rendered with, in their order: `sentences`, or else `passages`."""
    for name in ("sentences", "passages"):
        told = json.loads(arguments.get(name, "[]"))
        texts = [_text(one) for one in told if isinstance(one, str | dict)]
        if any(texts):
            return tuple(Evidence(text) for text in texts if text)
    return ()


def _text(told: str | Mapping[str, Any]) -> str:
    return told if isinstance(told, str) else str(told.get("text", ""))
