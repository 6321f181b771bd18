"""Content words of a text: lower case, without function words, stemmed."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

import Stemmer

_WORD = re.compile(r"[^\W_]+(?:[’'][^\W_]+)*")
_ENGLISH = """
a about above after again against all also am an and any are aren't as at be because been before
being below between both but by can can't could did didn't do does doesn't doing don't down
during each few for from further had has have having he her here hers him his how i i'd i'll i'm
i've if in into is isn't it it's its itself just let me more most my myself no nor not now of
off on once only or other our ours out over own please same she should so some such than that
that's the their theirs them then there these they this those through to too under until up us
very was wasn't we were what what's when where which while who whom whose why will with won't
would you you'd you'll your yours
"""
_GERMAN = """
aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch
auf aus bei beim bin bis bist bitte da damit dann das dass dein deine deinem deinen deiner dem den
denn der deren des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein
eine einem einen einer eines er es etwa etwas euch euer eure für fürs gegen gibt habe haben hat
hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede
jedem jeden jeder jedes jetzt kann kannst kein keine keinem keinen keiner können könnt man mein
meine meinem meinen meiner mich mir mit muss müssen nach nicht nichts noch nun nur ob oder ohne sehr
sein seine seinem seinen seiner seit selbst sich sie sind so solang solange soll sollen sollte über
um und uns unser unsere unserem unseren unter vom von vor wann war waren warum was weil welche
welchem welchen welcher welches wem wen wenn wer werden werde wessen wie wieder wieso wieviel will
wird wirst wo woher wohin wurde wurden zu zum zur zwischen
"""
_FUNCTION = {"en": frozenset(_ENGLISH.split()), "de": frozenset(_GERMAN.split())}


def words(text: str) -> list[str]:
    """Words in lower case, apostrophes made straight."""
    return [match.group().lower().replace("’", "'") for match in _WORD.finditer(text)]


def language_of(text: str, otherwise: str = "en") -> str:
    """`en` or `de` by its function words; `otherwise` where they do not tell."""
    found = words(text)
    german = sum(word in _FUNCTION["de"] for word in found)
    english = sum(word in _FUNCTION["en"] for word in found)
    if german == english:
        return otherwise
    return "de" if german > english else "en"


def terms(text: str, language: str) -> list[str]:
    """Stems of the content words, in order; other languages are read as English ones."""
    known = language if language in _FUNCTION else "en"
    return [_stem(word, known) for word in words(text) if word not in _FUNCTION[known]]


def held_terms(asked: Collection[str], text: str, language: str) -> frozenset[str]:
    """Those of the terms that the text holds; a German one in a compound, too."""
    held = set(terms(text, language))
    if language == "de":
        return frozenset(term for term in asked if any(_kin(term, other) for other in held))
    return frozenset(held.intersection(asked))


def _kin(one: str, other: str) -> bool:
    """The same, or one begins or ends the other as part of a compound: `fax` and `faxgerat`."""
    part, whole = sorted((one, other), key=len)
    if len(whole) - len(part) < 3:
        return part == whole
    return len(part) >= 3 and (whole.startswith(part) or (len(part) > 3 and whole.endswith(part)))


@lru_cache(maxsize=65_536)
def _stem(word: str, language: str) -> str:
    return str(_stemmer(language).stemWord(word.removesuffix("'s")))


@lru_cache(maxsize=2)
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer({"en": "english", "de": "german"}[language], 0)
