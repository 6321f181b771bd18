import unicodedata

import pytest
from gyre_ingestion.domain.normalise import clean, join_broken_words
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Cafe\u0301", "Café"),
        ("a\u00a0b\t c", "a b c"),
        ("Ta\u00adrif", "Tarif"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bell\x07 and\x00 null", "bell and null"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\n\n\n\n b ", "a\n\nb"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
    ],
)
def test_text_is_made_uniform_without_losing_meaning(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Vertrags-\nlaufzeit", "Vertragslaufzeit"),
        ("ef\x02ficient", "efficient"),
        ("dual-\nencoder and dual-encoder", "dual-encoder and dual-encoder"),
        ("Baden-\nBaden", "Baden-Baden"),
        ("pages 3-\n5", "pages 3-\n5"),
    ],
)
def test_words_are_joined_only_where_it_is_safe(raw: str, expected: str) -> None:
    assert join_broken_words(raw) == expected


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
