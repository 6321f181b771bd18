"""Cuts a document into passages that fit the embedding model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from gyre_ingestion.domain.parsed import Block, BlockKind, ParsedDocument
from gyre_ingestion.domain.sentences import sentence_spans
from gyre_ingestion.domain.splitting import Tokenizer, split_long

__all__ = ["Chunk", "SentenceSpan", "Tokenizer", "cut"]

# One token can stand for a word of any length; this bounds a passage that holds such words.
_CHARACTERS_PER_TOKEN = 16
_SMALLEST_LIMIT = 16


@dataclass(frozen=True)
class SentenceSpan:
    """Where a sentence stands in its chunk's text, in code points; `end` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True)
class Chunk:
    """A passage. `document.text[start_offset:end_offset] == text`, always.

    A heading above the passage may open `text`; it is no sentence unless there is nothing else,
    so that nobody quotes a heading as an answer.
    """

    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    page: int
    sentences: tuple[SentenceSpan, ...]
    token_count: int
    start_offset: int
    end_offset: int


def cut(
    parsed: ParsedDocument, tokenizer: Tokenizer, limit: int = 256, overlap: int = 1
) -> tuple[Chunk, ...]:
    """Passages of at most `limit` tokens; neighbours under one heading share `overlap` sentences.

    A passage never crosses a heading. It ends with a paragraph where that leaves it at least half
    full, else with a sentence; a sentence longer than the limit ends at a clause or word.
    """
    if limit < _SMALLEST_LIMIT:
        raise ValueError(f"a limit of {limit} tokens leaves no room: use {_SMALLEST_LIMIT} or more")
    cutter = _Cutter(parsed, tokenizer, limit, overlap)
    return tuple(cutter.chunk(run, ordinal) for ordinal, run in enumerate(cutter.runs()))


@dataclass(frozen=True)
class _Unit:
    """A sentence or heading, or a part of one too long; offsets are the document's."""

    start: int
    end: int
    tokens: int
    place: int
    is_heading: bool


class _Cutter:
    def __init__(
        self, parsed: ParsedDocument, tokenizer: Tokenizer, limit: int, overlap: int
    ) -> None:
        self._parsed = parsed
        self._tokenizer = tokenizer
        self._limit = limit
        self._overlap = overlap
        self._special = tokenizer.count("")
        self._room = limit - self._special

    def runs(self) -> Iterator[Sequence[_Unit]]:
        for section in _sections(self._parsed.blocks):
            yield from self._packed(list(self._units(section)))

    def _units(self, section: Sequence[int]) -> Iterator[_Unit]:
        room = self._room_beside_headings(section)
        for place in section:
            block, base = self._parsed.blocks[place], self._parsed.starts[place]
            for start, end in _sentences(block):
                sentence = block.text[start:end]
                longest = room * _CHARACTERS_PER_TOKEN
                for left, right, tokens in split_long(sentence, self._tokenizer, room, longest):
                    first = base + start
                    is_heading = block.kind is BlockKind.HEADING
                    yield _Unit(first + left, first + right, tokens, place, is_heading)

    def _room_beside_headings(self, section: Sequence[int]) -> int:
        blocks = [self._parsed.blocks[place] for place in section]
        headings = (block.text for block in blocks if block.kind is BlockKind.HEADING)
        taken = sum(len(self._tokenizer.spans(text)) for text in headings)
        return self._room - taken if taken <= self._room // 2 else self._room

    def _packed(self, units: Sequence[_Unit]) -> Iterator[Sequence[_Unit]]:
        """Consecutive units that fit together, each run with at least one that is new."""
        start = fresh = 0
        while fresh < len(units):
            stop = self._proved(units, start, self._estimated(units, start))
            if stop <= fresh:
                start += 1
                continue
            stop = self._paragraph_end(units, start, fresh, stop)
            yield units[start:stop]
            start, fresh = self._step_back(units, start, stop), stop

    def _estimated(self, units: Sequence[_Unit], start: int) -> int:
        total, stop = 0, start
        longest = units[start].start + self._room * _CHARACTERS_PER_TOKEN
        while stop < len(units) and units[stop].end <= longest:
            total += units[stop].tokens
            if total > self._room:
                break
            stop += 1
        return max(stop, start + 1)

    def _proved(self, units: Sequence[_Unit], start: int, stop: int) -> int:
        """The sum of tokens is only an estimate for some tokenizers: what counts is the whole."""
        while stop > start + 1 and self._count(units[start:stop]) > self._limit:
            stop -= 1
        return stop

    def _paragraph_end(self, units: Sequence[_Unit], start: int, fresh: int, stop: int) -> int:
        if stop == len(units) or units[stop].place != units[stop - 1].place:
            return stop
        first = stop
        while first > fresh and units[first - 1].place == units[stop].place:
            first -= 1
        kept = units[start:first]
        half_full = sum(unit.tokens for unit in kept) * 2 >= self._room
        return first if first > fresh and half_full else stop

    def _step_back(self, units: Sequence[_Unit], start: int, stop: int) -> int:
        """Where the next run starts: whole sentences back, while they leave half the room."""
        back, total = stop, 0
        while stop < len(units) and stop - back < self._overlap and back - 1 > start:
            total += units[back - 1].tokens
            if units[back - 1].is_heading or total * 2 > self._room:
                break
            back -= 1
        return back

    def _count(self, run: Sequence[_Unit]) -> int:
        spaced = all(one.end < other.start for one, other in pairwise(run))
        if self._tokenizer.adds_up and spaced:
            return self._special + sum(unit.tokens for unit in run)
        return self._tokenizer.count(self._parsed.text[run[0].start : run[-1].end])

    def chunk(self, run: Sequence[_Unit], ordinal: int) -> Chunk:
        start, end = run[0].start, run[-1].end
        body = [unit for unit in run if not unit.is_heading] or run
        block = self._parsed.blocks[body[0].place]
        return Chunk(
            ordinal=ordinal,
            text=self._parsed.text[start:end],
            heading_path=block.heading_path,
            page=self._parsed.blocks[run[0].place].page,
            sentences=tuple(SentenceSpan(u.start - start, u.end - start) for u in body),
            token_count=self._count(run),
            start_offset=start,
            end_offset=end,
        )


def _sections(blocks: Sequence[Block]) -> Iterator[list[int]]:
    """Block numbers of each section: its headings, then all that stands under them."""
    headings: list[int] = []
    for is_heading, places in groupby(
        range(len(blocks)), lambda place: blocks[place].kind is BlockKind.HEADING
    ):
        if is_heading:
            headings = list(places)
        else:
            yield [*headings, *places]
            headings = []
    if headings:
        yield headings


def _sentences(block: Block) -> Iterator[tuple[int, int]]:
    if block.kind in {BlockKind.HEADING, BlockKind.TABLE_ROW}:
        yield 0, len(block.text)
    elif block.kind is BlockKind.CODE:
        yield from _lines(block.text)
    else:
        yield from sentence_spans(block.text)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.split("\n"):
        if line.strip():
            yield start, start + len(line)
        start += len(line) + 1
