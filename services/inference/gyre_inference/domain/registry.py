"""Versions that never change, and labels that move from one to another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from gyre_inference.domain.faults import InvalidRequest, NotFound
from gyre_inference.domain.requests import Violations

PLATFORM = ""
"""In the place of a tenant: seen by every tenant."""
PRODUCTION = "production"
"""What it points to is in force where a request names no version."""
NAME = re.compile(r"[a-z0-9._-]{1,64}")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LABELS = 16
_MESSAGE = 1024


class Kind(Enum):
    """What is kept in versions."""

    PROMPT = "prompt"
    CHAIN = "chain"


@dataclass(frozen=True)
class Key:
    """Names a prompt or a chain, as a tenant sees it."""

    tenant: str
    kind: Kind
    name: str


@dataclass(frozen=True)
class Draft:
    """A version that is to be kept. labels: that are moved to it."""

    body: str
    digest: str
    message: str
    author: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """What was kept."""

    key: Key
    number: int
    body: str
    digest: str
    message: str
    author: str
    time: datetime


@dataclass(frozen=True)
class Move:
    """A label was moved; from_number is 0 when it was new."""

    label: str
    from_number: int
    to_number: int
    author: str
    message: str
    time: datetime


@dataclass(frozen=True)
class Registered:
    """What became of a draft."""

    version: Version
    is_new: bool
    moves: tuple[Move, ...] = ()


@dataclass(frozen=True)
class Holdings:
    """What a tenant sees under one name: the platform's, below its own.

    newest: largest number; 0 where there is nothing. own: labels that the tenant set itself.
    """

    newest: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def number(self, key: Key, wanted: str) -> int:
        """Of a version or label; empty means the one in force. Raises `NotFound`."""
        if wanted.isdecimal():
            return int(wanted)
        label = wanted or PRODUCTION
        if label not in self.labels:
            raise NotFound(f"no {key.kind.value} {key.name!r} with the label {label!r}")
        return self.labels[label]

    def pointing(self, number: int) -> tuple[str, ...]:
        """Labels that point to a version."""
        return tuple(sorted(label for label, one in self.labels.items() if one == number))


def draft_violations(name: str, draft: Draft) -> Violations:
    """Every rule that a draft breaks, its body aside."""
    yield from name_violations(name)
    yield from message_violations(draft.message)
    if len(draft.labels) > _LABELS:
        yield "labels", f"must be at most {_LABELS}"
    for label in draft.labels:
        yield from label_violations(label, "labels")


def name_violations(name: str) -> Violations:
    """Of a prompt or a chain."""
    if not NAME.fullmatch(name):
        yield "name", "must match [a-z0-9._-]{1,64}"
    elif name.isdecimal():
        yield "name", "must not be a number"


def label_violations(label: str, field_name: str = "label") -> Violations:
    """A label is no number, so that it is told apart from a version."""
    if not _LABEL.fullmatch(label):
        yield field_name, "must match [a-z][a-z0-9_-]{0,31}"


def message_violations(message: str) -> Violations:
    """Why something was done."""
    if len(message) > _MESSAGE:
        yield "message", f"must have at most {_MESSAGE} characters"


def refuse(violations: Violations) -> None:
    """Raises `InvalidRequest` with every rule that is broken."""
    if found := dict(violations):
        raise InvalidRequest(found)
