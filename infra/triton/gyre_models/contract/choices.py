"""The guide `choice`: the answer is one of some texts, verbatim. So quotes are quotes."""

from __future__ import annotations

import json

from gyre_models.contract.refusal import invalid

MAX_CHOICES = 1024


def choice_grammar(text: str) -> str:
    """An EBNF grammar of exactly the strings of a JSON list; raises `Refusal`."""
    try:
        choices = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"a choice is a JSON list of strings: {error}") from error
    if not isinstance(choices, list) or not all(isinstance(c, str) and c for c in choices):
        raise invalid("a choice is a JSON list of strings that are not empty")
    if not 1 <= len(choices) <= MAX_CHOICES:
        raise invalid(f"a choice has 1 to {MAX_CHOICES} strings")
    return "root ::= " + " | ".join(f'"{_escaped(choice)}"' for choice in choices)


def _escaped(text: str) -> str:
    plain = set(map(chr, range(0x20, 0x7F))) - {'"', "\\"}
    return "".join(c if c in plain else f"\\U{ord(c):08x}" for c in text)
