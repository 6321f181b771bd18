from itertools import pairwise

import pytest
from gyre_ingestion.domain.sentences import sentence_spans
from hypothesis import given
from hypothesis import strategies as st


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith paid $3.50 for it.", "He was happy!", "Was she?"],
        ["See Fig. 3 and p. 12 for details.", "The U.S. Army came at 5 p.m. on Monday."],
        ["The answer is no.", "The router restarts by itself."],
        ["We sell phones, tablets, etc. and cables.", "Prices vary."],
        ["“Really?” he asked.", "Nobody knew."],
        ["Visit example.com or write to a.b@example.com today.", "Version 2.0.1 is out."],
        ["It costs 5 GB.", "The J. R. Smith tariff costs more."],
        ["Wait... there is more.", "And then…", "Nothing."],
        ["Das Gerät wird z. B. am 3. Mai geliefert.", "Die 2. Rate ist bzw. war fällig."],
        ["Rufen Sie Hrn. Dr. Meier unter Tel. 0800 an.", "Wir helfen gern, ggf. auch sonntags."],
        ["Das kostet ca. 20 Mio. Euro.", "Der Vertrag endet am 31.12.2024.", "Danach gilt § 5."],
        ["M. Dupont et Mme Martin paient p. ex. 5,50 €.", "C'est tout !", "Vraiment ?"],
        ["El Sr. Pérez vive en EE. UU. desde 1990.", "¿Cuánto cuesta?", "¡Mucho!"],
        ["你好。", "今天天气很好！", "你去哪里？"],
        ["「行きます。」", "そうですか。"],
        ["यह पहला वाक्य है।", "यह दूसरा है।"],
        ["هل هذا سؤال؟", "نعم، هذا جواب."],
        ["Это первое предложение.", "Это второе."],
        ["Սա առաջինն է։", "Սա երկրորդն է։"],
    ],
)
def test_sentences_end_where_a_reader_would_end_them(sentences: list[str]) -> None:
    joiner = "" if sentences[0][-1] in "。」" else " "
    assert split(joiner.join(sentences)) == sentences


def test_a_numbered_step_keeps_its_number() -> None:
    assert split("1. Open the app. 2. Tap Settings.") == ["1. Open the app.", "2. Tap Settings."]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_no_character_is_lost_and_spans_are_in_order(text: str) -> None:
    spans = list(sentence_spans(text))
    assert "".join("".join(text[s:e].split()) for s, e in spans) == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(text[s:e] == text[s:e].strip() and s < e for s, e in spans)
