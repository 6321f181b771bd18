"""A prompt's content as plain data: for its hash, for storage, for people to compare."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

import yaml

from gyre_inference.domain.generation import parameters_in
from gyre_inference.domain.prompts import (
    Choose,
    Example,
    Examples,
    Grounding,
    Order,
    PromptContent,
    Style,
)

_ORDER = ("description", "system", "user", "arguments", "parameters", "examples", "grounding")


def plain(content: PromptContent) -> dict[str, Any]:
    """Plain data in a fixed order, without what says nothing."""
    found = asdict(content) | {"arguments": sorted(content.arguments)}
    return {name: _told(found[name]) for name in _ORDER if _told(found[name])}


def content_of(data: Mapping[str, Any]) -> PromptContent:
    """The content that `plain` was made of."""
    return PromptContent(
        user=data["user"],
        system=data.get("system", ""),
        arguments=frozenset(data.get("arguments", ())),
        parameters=parameters_in(data.get("parameters", {})),
        examples=_examples(data["examples"]) if "examples" in data else None,
        grounding=_grounding(data["grounding"]) if "grounding" in data else None,
        description=data.get("description", ""),
    )


def stored(content: PromptContent) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(plain(content), ensure_ascii=False, sort_keys=True)


def digest_of(body: str) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def readable(content: PromptContent) -> str:
    """YAML as a person would write it."""
    return yaml.dump(plain(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def difference(old: str, new: str, old_name: str, new_name: str) -> str:
    """Unified diff of two texts; empty when they are equal."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), old_name, new_name, lineterm="", n=3
    )
    return "\n".join(lines)


def _told(value: Any) -> Any:
    """Without empty values; zero is a value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        told = {name: _told(one) for name, one in value.items()}
        return {name: one for name, one in told.items() if one not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [_told(one) for one in value]
    return value


def _examples(data: Mapping[str, Any]) -> Examples:
    return Examples(
        items=tuple(Example(**item) for item in data["items"]),
        choose=Choose(data["choose"]),
        count=data.get("count", 0),
        by=data.get("by", ""),
    )


def _grounding(data: Mapping[str, Any]) -> Grounding:
    return Grounding(
        Style(data["style"]),
        Order(data["order"]),
        data["sentences"],
        data["longest"],
        data["refusal"],
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as blocks, so that a diff shows the line that changed."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
