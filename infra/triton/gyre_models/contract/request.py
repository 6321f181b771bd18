"""A generation request as values, read from tensors and checked before it may wait for a slot."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gyre_models.contract.refusal import invalid
from gyre_models.contract.tensors import INPUTS

GUIDE_TYPES = ("json", "json_object", "regex", "grammar", "choice")
MAX_GUIDE_CHARACTERS = 262_144
MAX_STOP_WORDS = 16
_SPECS = {spec.name: spec for spec in INPUTS}


@dataclass(frozen=True)
class Sampling:
    """temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 are off; seed None draws one."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0 or self.top_k == 1

    @property
    def penalised(self) -> bool:
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1, 0, 0)


@dataclass(frozen=True)
class Guide:
    """What the output must match. kind: one of GUIDE_TYPES; a choice is a JSON list of strings."""

    kind: str
    text: str


@dataclass(frozen=True)
class GenerationRequest:
    """One request. Exactly one of text, input_ids and messages is set.

    max_tokens None takes the engine's default. timeout_s counts from arrival.
    priority: lower goes first. traceparent: W3C trace context of the caller, or empty.
    """

    text: str | None = None
    input_ids: tuple[int, ...] | None = None
    messages: tuple[Mapping[str, Any], ...] | None = None
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop_words: tuple[str, ...] = ()
    stream: bool = True
    lora_name: str = ""
    guide: Guide | None = None
    cache_salt: str = ""
    return_log_probs: bool = False
    timeout_s: float | None = None
    priority: int = 0
    traceparent: str = ""


def read_request(
    tensors: Mapping[str, NDArray[Any]], timeout_s: float | None = None, priority: int = 0
) -> GenerationRequest:
    """Raises `Refusal` [INVALID_ARGUMENT] that names the tensor and the range."""
    read = _Reader(tensors)
    request = GenerationRequest(
        text=read.text("text_input"),
        input_ids=read.integers("input_ids"),
        messages=_messages(read.text("messages")),
        max_tokens=read.integer("max_tokens", None, 1, 1 << 20),
        sampling=_sampling(read),
        stop_words=_stop_words(read),
        stream=read.flag("stream", True),
        lora_name=read.text("lora_name") or "",
        guide=_guide(read),
        cache_salt=read.text("cache_salt") or "",
        return_log_probs=read.flag("return_log_probs", False),
        timeout_s=timeout_s,
        priority=priority,
    )
    if sum(p is not None for p in (request.text, request.input_ids, request.messages)) != 1:
        raise invalid("give exactly one of text_input, input_ids and messages")
    return request


def _sampling(read: _Reader) -> Sampling:
    return Sampling(
        temperature=read.number("temperature", 0.0, 0.0, 100.0),
        top_p=read.number("top_p", 1.0, 1e-6, 1.0),
        top_k=read.integer("top_k", 0, 0, 1 << 30) or 0,
        min_p=read.number("min_p", 0.0, 0.0, 1.0),
        repetition_penalty=read.number("repetition_penalty", 1.0, 1e-3, 100.0),
        presence_penalty=read.number("presence_penalty", 0.0, -100.0, 100.0),
        frequency_penalty=read.number("frequency_penalty", 0.0, -100.0, 100.0),
        seed=read.integer("seed", None, 0, (1 << 64) - 1),
    )


def _guide(read: _Reader) -> Guide | None:
    kind, text = read.text("guided_decoding_guide_type"), read.text("guided_decoding_guide")
    if not kind:
        if text:
            raise invalid("guided_decoding_guide needs guided_decoding_guide_type")
        return None
    if kind not in GUIDE_TYPES:
        raise invalid(f"guided_decoding_guide_type must be one of {', '.join(GUIDE_TYPES)}")
    if not text and kind != "json_object":
        raise invalid(f"guided_decoding_guide_type {kind} needs guided_decoding_guide")
    if len(text or "") > MAX_GUIDE_CHARACTERS:
        raise invalid(f"guided_decoding_guide is over {MAX_GUIDE_CHARACTERS} characters")
    return Guide(kind, text or "")


def _stop_words(read: _Reader) -> tuple[str, ...]:
    words = tuple(word for word in read.texts("stop_words") if word)
    if len(words) > MAX_STOP_WORDS or any(len(word) > 256 for word in words):
        raise invalid(f"at most {MAX_STOP_WORDS} stop_words of 256 characters each")
    return words


def _messages(text: str | None) -> tuple[Mapping[str, Any], ...] | None:
    if text is None:
        return None
    try:
        messages = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"messages is not JSON: {error}") from error
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise invalid("messages must be a JSON list of {role, content}, both texts")
    return tuple(messages)


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and all(
        isinstance(message.get(key), str) for key in ("role", "content")
    )


class _Reader:
    """Tensors by name; what is absent or empty has its default."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors

    def texts(self, name: str) -> list[str]:
        try:
            return [
                item.decode() if isinstance(item, bytes) else str(item)
                for item in self._items(name)
            ]
        except UnicodeDecodeError as error:
            raise invalid(f"{name} is not UTF-8") from error

    def text(self, name: str) -> str | None:
        texts = self.texts(name)
        return texts[0] if texts else None

    def flag(self, name: str, default: bool) -> bool:
        items = self._items(name)
        return bool(items[0]) if items else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        items = self._items(name)
        return tuple(map(int, items)) if items else None

    def integer(self, name: str, default: int | None, low: int, high: int) -> int | None:
        items = self._items(name)
        if items and not low <= int(items[0]) <= high:
            raise invalid(f"{name} must be from {low} to {high}, not {items[0]}")
        return int(items[0]) if items else default

    def number(self, name: str, default: float, low: float, high: float) -> float:
        items = self._items(name)
        if not items:
            return default
        value = float(items[0])
        if not math.isfinite(value) or not low <= value <= high:
            raise invalid(f"{name} must be from {low:g} to {high:g}, not {value:g}")
        return value

    def _items(self, name: str) -> list[Any]:
        tensor = self._tensors.get(name)
        if tensor is None:
            return []
        items = np.asarray(tensor).reshape(-1).tolist()
        if _SPECS[name].size == 1 and len(items) > 1:
            raise invalid(f"{name} takes one value, not {len(items)}")
        return items
