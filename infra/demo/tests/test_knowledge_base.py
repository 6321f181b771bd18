"""The articles are as many, as long, as varied and as fictional as promised."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from gyre_demo.questions import KNOWLEDGE_BASE
from lingua import Language, LanguageDetectorBuilder

from .extraction import bare, text_of

ARTICLES = sorted(path for path in KNOWLEDGE_BASE.rglob("*") if path.is_file())
BY_NAME = [pytest.param(path, id=path.name) for path in ARTICLES]
DETECTOR = LanguageDetectorBuilder.from_languages(Language.ENGLISH, Language.GERMAN).build()

# Numbers that no one has: those that the German regulator keeps for films and books.
FICTIONAL = re.compile(r"\+49 (30 23125 \d{3}|171 39200\d\d)$")
REAL_COMPANIES = re.compile(
    r"\b(vodafone|telef[oó]nica|o2|orange|t-mobile|telekom|1&1|freenet|verizon|at&t|ee|bt|sky|"
    r"three|virgin|swisscom|sunrise|telia|telenor|kpn|proximus|congstar|drillisch|huawei)\b",
    re.IGNORECASE,
)


def test_there_are_enough_articles_in_every_format() -> None:
    counts = Counter(path.suffix for path in ARTICLES)
    assert counts == {".md": 48, ".html": 9, ".pdf": 5, ".docx": 4, ".pptx": 3}


def test_ten_articles_are_german() -> None:
    languages = Counter(DETECTOR.detect_language_of(bare(text_of(path))) for path in ARTICLES)
    assert languages == {Language.ENGLISH: len(ARTICLES) - 10, Language.GERMAN: 10}


@pytest.mark.parametrize("path", BY_NAME)
def test_an_article_has_the_length_of_an_article(path: Path) -> None:
    assert 250 <= len(bare(text_of(path)).split()) <= 900


@pytest.mark.parametrize("path", BY_NAME)
def test_an_article_has_headings(path: Path) -> None:
    assert len(re.findall(r"^#{1,3} ", text_of(path), re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", BY_NAME)
def test_a_file_is_small(path: Path) -> None:
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", BY_NAME)
def test_telephone_numbers_are_fictional(path: Path) -> None:
    numbers = re.findall(r"\+\d\d[\d ]{7,}\d", text_of(path))
    assert [number for number in numbers if not FICTIONAL.match(number)] == []


@pytest.mark.parametrize("path", BY_NAME)
def test_mail_and_web_addresses_lead_nowhere(path: Path) -> None:
    hosts = re.findall(r"(?:@|https?://)([\w.-]+\w)", text_of(path))
    assert set(hosts) <= {*_OWN, "larkmoor.example", "example.com", "larkbox.home", "192.168.77.1"}


_OWN = {f"{name}.larkmoor.example" for name in ("help", "my", "speed", "status")}


@pytest.mark.parametrize("path", BY_NAME)
def test_no_real_telephone_company_is_named(path: Path) -> None:
    lowered = {name.casefold() for name in REAL_COMPANIES.findall(bare(text_of(path)))}
    assert lowered - {"three", "orange", "sky"} == set()  # a number, a colour, what is above us


@pytest.mark.parametrize("path", [one for one in BY_NAME if one.id and one.id.endswith(".md")])
def test_front_matter_is_valid_where_there_is_one(path: Path) -> None:
    opening, _, rest = text_of(path).partition("---\n")
    if opening:
        assert opening.startswith("# ")
    else:
        fields = yaml.safe_load(rest.partition("\n---\n")[0])
        assert {"title", "updated"} <= fields.keys()


def test_articles_do_not_repeat_each_other() -> None:
    sentences = {path: _long_sentences(path) for path in ARTICLES if path.suffix != ".html"}
    repeated = {
        (one.name, other.name): len(sentences[one] & sentences[other])
        for one, other in combinations(sentences, 2)
    }
    assert {pair: count for pair, count in repeated.items() if count > 1} == {}


def _long_sentences(path: Path) -> set[str]:
    sentences = re.split(r"(?<=[.?!]) ", bare(text_of(path)))
    return {sentence for sentence in sentences if len(sentence.split()) >= 8}
