"""What may be asked, and its limits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import Message, Parameters
from gyre_inference.domain.passages import SearchFilter
from gyre_inference.domain.record import Labels

COLLECTION = re.compile(r"[a-z0-9_-]{1,64}")
_REFERENCE = re.compile(r"[\x21-\x7e]{0,128}")
_NAME = re.compile(r"[A-Za-z0-9._-]{0,64}")
_ROLES = ("system", "user", "assistant")
# The record of an answer is one event, and an event stays under 512 KiB.
_CONVERSATION_BYTES = 192 * 1024
_MESSAGES = 256
_MAX_TOKENS = 16_384

Violations = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Question:
    """A question to answer from documents. top_k 0 and an empty model mean the service's setting.
    prompt_version: a version or a label; empty means the one in force. arguments: recorded ones of
    an earlier answer, JSON by name; where there are any, nothing is searched."""

    text: str
    collection: str = "default"
    condition: SearchFilter = field(default_factory=SearchFilter)
    top_k: int = 0
    prompt_name: str = ""
    prompt_version: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    labels: Labels = field(default_factory=Labels)
    model: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """A conversation to continue; empty model means the service's setting."""

    messages: tuple[Message, ...]
    parameters: Parameters = field(default_factory=Parameters)
    model: str = ""
    labels: Labels = field(default_factory=Labels)


def check_question(question: Question) -> None:
    """Raises `InvalidRequest` with every rule that is broken."""
    _refuse(_question(question))


def check_conversation(conversation: Conversation) -> None:
    """Raises `InvalidRequest` with every rule that is broken."""
    _refuse(_conversation(conversation))


def _refuse(violations: Violations) -> None:
    if found := dict(violations):
        raise InvalidRequest(found)


def _question(question: Question) -> Violations:
    if not question.text.strip() or len(question.text) > 4096:
        yield "question", "must have 1 to 4096 characters"
    if not COLLECTION.fullmatch(question.collection):
        yield "collection", "must match [a-z0-9_-]{1,64}"
    if not 0 <= question.top_k <= 50:
        yield "top_k", "must be 1 to 50, or 0 for the service's setting"
    for name in ("prompt_name", "prompt_version", "model"):
        if not _NAME.fullmatch(getattr(question, name)):
            yield name, "must be at most 64 letters, digits, '.', '_' or '-'"
    if sum(len(one.encode()) for one in question.arguments.values()) > _CONVERSATION_BYTES:
        yield "prompt_arguments", f"must have at most {_CONVERSATION_BYTES} bytes together"
    yield from parameter_violations(question.parameters)
    yield from reference_violations(question.labels)


def _conversation(conversation: Conversation) -> Violations:
    messages = conversation.messages
    if not 1 <= len(messages) <= _MESSAGES:
        yield "messages", f"must be 1 to {_MESSAGES}"
    elif messages[-1].role != "user":
        yield "messages", "the last message must be the user's"
    if sum(len(message.content.encode()) for message in messages) > _CONVERSATION_BYTES:
        yield "messages", f"must have at most {_CONVERSATION_BYTES} bytes together"
    for place, message in enumerate(messages):
        if message.role not in _ROLES:
            yield f"messages[{place}].role", f"must be one of {', '.join(_ROLES)}"
        if not message.content.strip():
            yield f"messages[{place}].content", "must not be empty"
    if not _NAME.fullmatch(conversation.model):
        yield "model", "must be at most 64 letters, digits, '.', '_' or '-'"
    yield from parameter_violations(conversation.parameters)
    yield from reference_violations(conversation.labels)


def parameter_violations(parameters: Parameters) -> Violations:
    """Every rule that sampling parameters break."""
    yield from _range("max_tokens", parameters.max_tokens, 1, _MAX_TOKENS)
    yield from _range("temperature", parameters.temperature, 0, 2)
    yield from _range("top_p", parameters.top_p, 0, 1)
    yield from _range("top_k", parameters.top_k, 0, 100_000)
    if len(parameters.stop) > 16 or any(not 1 <= len(stop) <= 256 for stop in parameters.stop):
        yield "parameters.stop", "must be at most 16 strings of 1 to 256 characters"


def _range(name: str, value: float | None, least: float, most: float) -> Violations:
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        yield f"parameters.{name}", f"must be {least} to {most}"


def reference_violations(labels: Labels) -> Violations:
    """Every rule that a client's references and metadata break."""
    for name in ("conversation_id", "end_user"):
        if not _REFERENCE.fullmatch(getattr(labels, name)):
            yield name, "must be at most 128 printable ASCII characters without spaces"
    if len(labels.metadata) > 32:
        yield "metadata", "must have at most 32 entries"
    for key, value in labels.metadata.items():
        if not 1 <= len(key) <= 64 or len(value) > 512:
            yield "metadata", "keys must have 1 to 64 characters, values at most 512"
