"""What kind of answer a question asks for, as far as its words tell."""

from __future__ import annotations

import re

_NUMBER_ASKED = re.compile(
    r"\b(how (much|many|long|often|old|far|fast|high|big|soon|late)|costs?|price|fee|charge"
    r"|when|until|what (time|year|date|day|percentage|number)|which (year|day|date)"
    r"|wie ?viele?|wie (lange|hoch|oft|teuer|schnell|weit)|kostet|kosten|preis|(ab|bis)? ?wann)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|zwei|drei|vier"
    r"|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|vierzehn|zwanzig|dreißig)\b",
    re.IGNORECASE,
)


def asks_for_number(question: str) -> bool:
    """A price, a time, an amount: in English or German."""
    return _NUMBER_ASKED.search(question) is not None


def has_number(line: str) -> bool:
    """In digits or as a word."""
    return _NUMBER.search(line) is not None


def is_question(line: str) -> bool:
    """Headings of frequent questions stand among the sentences of many pages."""
    return line.rstrip().endswith("?")
