from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from gyre_ingestion.adapters.tokenizers import FileTokenizer
from gyre_ingestion.domain.chunking import Chunk, cut
from gyre_ingestion.domain.outline import Outline
from gyre_ingestion.domain.parsed import BlockKind, ParsedDocument
from gyre_ingestion.domain.sentences import sentence_spans
from hypothesis import given, settings
from hypothesis import strategies as st

LIMIT = 256


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file: Path) -> FileTokenizer:
    return FileTokenizer(tokenizer_file)


def document(*steps: tuple[str, ...]) -> ParsedDocument:
    """Steps are ("h", text) for a heading and ("p" | "li" | "tr" | "code", text) for a block."""
    outline = Outline()
    verbs: dict[str, Callable[[str], None]] = {
        "h": lambda text: outline.heading(1, text),
        "p": outline.paragraph,
        "li": outline.item,
        "tr": outline.row,
        "code": outline.code,
    }
    for kind, text in steps:
        verbs[kind](text)
    return ParsedDocument(tuple(outline.blocks), "text/plain")


def quoted(chunk: Chunk) -> list[str]:
    return [chunk.text[span.start : span.end] for span in chunk.sentences]


def test_a_short_section_is_one_chunk_that_opens_with_its_heading(tokenizer: FileTokenizer) -> None:
    (chunk,) = cut(document(("h", "Roaming"), ("p", "It is free. It is fast.")), tokenizer)
    assert chunk.text == "Roaming\n\nIt is free. It is fast."
    assert quoted(chunk) == ["It is free.", "It is fast."]
    assert chunk.heading_path == ("Roaming",)
    assert chunk.token_count == tokenizer.count(chunk.text)


def test_a_chunk_never_crosses_a_heading(tokenizer: FileTokenizer) -> None:
    chunks = cut(document(("h", "A"), ("p", "One."), ("h", "B"), ("p", "Two.")), tokenizer)
    assert [chunk.heading_path for chunk in chunks] == [("A",), ("B",)]
    assert [quoted(chunk) for chunk in chunks] == [["One."], ["Two."]]


def test_neighbours_under_one_heading_share_one_sentence(tokenizer: FileTokenizer) -> None:
    sentences = [f"Sentence number {n} says a little about the tariff." for n in range(60)]
    chunks = cut(document(("p", " ".join(sentences))), tokenizer)
    assert len(chunks) > 2
    for before, after in pairwise(chunks):
        assert quoted(before)[-1] == quoted(after)[0]
        assert quoted(before)[-2] != quoted(after)[0]


def test_a_cut_falls_between_paragraphs_where_that_leaves_half_a_chunk(
    tokenizer: FileTokenizer,
) -> None:
    paragraph = " ".join(f"The line number {n} is tested again today." for n in range(17))
    first, second, *_ = cut(document(*[("p", paragraph)] * 4), tokenizer, overlap=0)
    assert first.text == paragraph
    assert second.text == paragraph


def test_a_table_row_is_one_sentence(tokenizer: FileTokenizer) -> None:
    (chunk,) = cut(document(("tr", "Tariff: S. Price: 5.00"), ("tr", "Tariff: M")), tokenizer)
    assert quoted(chunk) == ["Tariff: S. Price: 5.00", "Tariff: M"]


def test_a_heading_with_nothing_below_it_is_kept(tokenizer: FileTokenizer) -> None:
    chunks = cut(document(("p", "Text."), ("h", "The end")), tokenizer)
    assert [quoted(chunk) for chunk in chunks] == [["Text."], ["The end"]]


def test_a_sentence_longer_than_the_limit_ends_at_a_clause(tokenizer: FileTokenizer) -> None:
    clause = "the customer who ordered the router must send it back within two weeks"
    chunks = cut(document(("p", "; ".join([clause] * 40) + ".")), tokenizer)
    assert len(chunks) > 1
    assert all(chunk.text.endswith((";", ".")) for chunk in chunks)


def test_a_word_of_a_million_letters_is_cut(tokenizer: FileTokenizer) -> None:
    chunks = cut(document(("p", "x" * 100_000)), tokenizer)
    assert max(len(chunk.text) for chunk in chunks) <= LIMIT * 16
    assert sum(len(chunk.text) for chunk in chunks) == 100_000


def test_a_limit_that_leaves_no_room_is_refused(tokenizer: FileTokenizer) -> None:
    with pytest.raises(ValueError, match="leaves no room"):
        cut(document(("p", "Text.")), tokenizer, limit=4)


STEP = st.tuples(
    st.sampled_from(["h", "p", "p", "p", "li", "tr", "code"]),
    st.one_of(
        st.text(alphabet=st.characters(codec="utf-8"), max_size=400),
        st.lists(
            st.sampled_from(["Yes.", "router", "5.5", "etc.", "你好。", "क्षि।", "x" * 130]),
            max_size=90,
        ).map(" ".join),
    ),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(STEP, max_size=12), st.sampled_from([16, 48, 256]), st.sampled_from([0, 1, 2]))
def test_every_cut_keeps_its_promises(
    tokenizer: FileTokenizer, steps: list[tuple[str, str]], limit: int, overlap: int
) -> None:
    parsed = document(*steps)
    chunks = cut(parsed, tokenizer, limit, overlap)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert parsed.text[chunk.start_offset : chunk.end_offset] == chunk.text
        assert chunk.token_count == tokenizer.count(chunk.text) <= limit
        assert chunk.sentences
        assert all(0 <= s.start < s.end <= len(chunk.text) for s in chunk.sentences)
    covered = {n for chunk in chunks for n in range(chunk.start_offset, chunk.end_offset)}
    assert all(parsed.text[n].isspace() for n in set(range(len(parsed.text))) - covered)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["h", "p", "li"]), st.text(max_size=300)), max_size=8))
def test_no_short_sentence_is_lost_or_broken(
    tokenizer: FileTokenizer, steps: list[tuple[str, str]]
) -> None:
    parsed = document(*steps)
    found = {text for chunk in cut(parsed, tokenizer, 4096) for text in quoted(chunk)}
    for block in parsed.blocks:
        if block.kind is not BlockKind.HEADING:
            assert {block.text[s:e] for s, e in sentence_spans(block.text)} <= found
