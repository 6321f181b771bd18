"""Text into sentences, words and stems: plain English rules, no model."""

import re
from functools import lru_cache


def words_of(text: str) -> frozenset[str]:
    """The words of a text that separates them by whitespace."""
    return frozenset(text.split())


WORD = re.compile(r"[A-Za-z0-9][\w'’.-]*\w|[A-Za-z0-9]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')”]?\s+(?=[\"'(“]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|Prof|Gen|Col|e\.g|i\.e|U\.S|[A-Z])\.$"
)
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s", "e", "y")
STOP_WORDS = words_of(
    "a an the of to in on at for by with from and or but is are was were be been being has have "
    "had do does did it its this that these those as he she they his her their i you we my your "
    "our not no can may will would could should than then so if into about which who whom what "
    "when where how why also such there other more most some any all one up out over after before "
    "between during under only both each while because him them us me there's"
)


def one_line(text: str) -> str:
    """The text with every run of whitespace collapsed to one space."""
    return " ".join(text.split())


def sentences(text: str) -> list[str]:
    """Sentences of the text in order; a line break always ends a sentence."""
    return [part for line in text.split("\n") for part in _line_sentences(one_line(line))]


def _line_sentences(line: str) -> list[str]:
    found: list[str] = []
    held = ""
    for part in _SENTENCE_END.split(line.strip(" *#|>-")):
        held = f"{held} {part}".strip()
        if not _ABBREVIATION.search(held):
            found.append(held)
            held = ""
    return [sentence for sentence in [*found, held] if len(sentence) >= 4]


def clauses(sentence: str, longest: int) -> list[str]:
    """The sentence cut at commas or spaces into parts of at most `longest` characters."""
    parts: list[str] = []
    held = ""
    for word in re.split(r"(?<=[;,:]) " if len(sentence) > longest else r"$^", sentence):
        if held and len(held) + len(word) >= longest:
            parts.append(held)
            held = ""
        held = f"{held} {word}".strip()
        while len(held) > longest:
            cut = held.rfind(" ", 0, longest)
            cut = cut if cut > 0 else longest
            parts.append(held[:cut])
            held = held[cut:].strip()
    return [part for part in [*parts, held] if part]


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word in lower case without its commonest English endings."""
    lowered = word.lower().replace("'s", "").replace("’s", "")
    for suffix in _SUFFIXES:
        if lowered.endswith(suffix) and len(lowered) - len(suffix) >= 3:
            return lowered[: -len(suffix)]
    return lowered


@lru_cache(maxsize=300_000)
def content_stems(text: str) -> tuple[str, ...]:
    """Stems of the words that carry content, in order, repeats kept."""
    return tuple(stem(word) for word in WORD.findall(text) if word.lower() not in STOP_WORDS)
