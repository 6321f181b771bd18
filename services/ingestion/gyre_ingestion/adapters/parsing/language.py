"""Tells a text's language (library: lingua, in its small mode)."""

from lingua import LanguageDetector, LanguageDetectorBuilder

from gyre_ingestion.domain.parsed import Block, BlockKind

# Windows from all over the text; more of it costs more time and finds nothing else.
_WINDOWS, _WINDOW_LENGTH = 3, 160
_SHORTEST = 20
_SMALLEST_LEAD = 0.03
_PROSE = {BlockKind.PARAGRAPH, BlockKind.LIST_ITEM}


class LinguaLanguageDetector:
    """Right for prose of a line or more; says nothing about less."""

    def __init__(self) -> None:
        self._detector: LanguageDetector | None = None

    def detect(self, blocks: tuple[Block, ...]) -> str:
        """ISO 639-1 code of the main language, empty when it cannot be told."""
        prose = " ".join(block.text for block in blocks if block.kind in _PROSE)
        if len(prose) < _SHORTEST:
            prose = " ".join(block.text for block in blocks)
        sample = _sample(prose)
        if sum(map(str.isalpha, sample)) < _SHORTEST:
            return ""
        language = self._loaded().detect_language_of(sample)
        return "" if language is None else language.iso_code_639_1.name.lower()

    def _loaded(self) -> LanguageDetector:
        if self._detector is None:
            builder = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode()
            self._detector = builder.with_minimum_relative_distance(_SMALLEST_LEAD).build()
        return self._detector


def _sample(text: str) -> str:
    if len(text) <= _WINDOWS * _WINDOW_LENGTH:
        return text
    step = (len(text) - _WINDOW_LENGTH) // (_WINDOWS - 1)
    windows = (text[n * step : n * step + _WINDOW_LENGTH] for n in range(_WINDOWS))
    return " ".join(windows)
