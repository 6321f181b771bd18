"""Did an answer give the instructions away?"""

from __future__ import annotations

import re

RUN = 12
_WORD = re.compile(r"\w+")


def leaks(instructions: str, completion: str) -> bool:
    """Whether the answer repeats `RUN` words of the instructions in a row."""
    secret, told = _words(instructions), _words(completion)
    if len(secret) < RUN or len(told) < RUN:
        return False
    return not _runs(secret).isdisjoint(_runs(told))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
