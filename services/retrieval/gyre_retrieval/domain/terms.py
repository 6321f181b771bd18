"""Words as the lexical route compares them: folded, without stop words, stemmed.

Milvus is given words that are cut already, because Milvus Lite knows no stemmer and full Milvus
knows one per field, not one per document.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import snowballstemmer

from gyre_retrieval.domain.passage import Passage

GERMAN = "de"
ENGLISH = "en"
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_ENGLISH = """
a an and are as at be but by for if in into is it its no not of on or such that the their then
there these they this to was were will with which who whom what when where how do does did can
could should would may might must have has had i you we he she my your our me us them from about
than so
"""
_GERMAN = """
aber als am an auch auf aus bei bin bis bist da das dass dem den der des die dies diese diesem
diesen dieser dieses doch du ein eine einem einen einer eines er es für habe haben hat ich ihr
ihre im in ist ja kann kein keine können man mein meine mich mir mit muss nach nicht noch nun
nur ob oder ohne sein seine sich sie sind so über um und uns unser unter vom von vor was weil
wenn wer werden wie wir wird wo zu zum zur
"""
STOP_WORDS = {ENGLISH: frozenset(_ENGLISH.split()), GERMAN: frozenset(_GERMAN.split())}
_STEMMERS = {
    ENGLISH: snowballstemmer.stemmer("english"),
    GERMAN: snowballstemmer.stemmer("german"),
}
_STEMMING = threading.Lock()


def terms_of(texts: Iterable[str], language: str) -> list[str]:
    """Terms of a passage: German words by German rules, all others by English ones."""
    known = language if language in _STEMMERS else ENGLISH
    words = [word for text in texts for word in _words(text)]
    return [_stem(word, known) for word in words if word not in STOP_WORDS[known]]


def passage_terms(passage: Passage) -> list[str]:
    """Title, headings and text: what the lexical route reads of a passage."""
    texts = (passage.source.title, *passage.chunk.heading_path, passage.chunk.text)
    return terms_of(texts, passage.source.language)


def query_terms(text: str) -> list[str]:
    """Terms of a query, whose language is not known: each word as either language would cut it."""
    terms: dict[str, None] = {}
    for word in _words(text):
        cuts = (_stem(word, known) for known in _STEMMERS if word not in STOP_WORDS[known])
        terms.update(dict.fromkeys(cuts))
    return list(terms)


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return [word.removesuffix("'s").replace("'", "") for word in WORD.findall(folded)]


@lru_cache(maxsize=200_000)
def _stem(word: str, language: str) -> str:
    with _STEMMING:  # a stemmer keeps the word it works on in itself
        return str(_STEMMERS[language].stemWord(word))
