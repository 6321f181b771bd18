"""Counts tokens with the embedding model's own `tokenizer.json` (library: tokenizers)."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import tokenizers

# These cut at space before anything else, so that no token depends on what stands beyond it.
_CUT_AT_SPACE = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}

# Headings are asked for twice, and many documents share them and their boilerplate.
_SHORT, _REMEMBERED = 200, 2_048


class FileTokenizer:
    """Reads `tokenizer.json` once; truncation and padding are off, so that counts are true."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise FileNotFoundError(
                f"no tokenizer at {file}: "
                "set GYRE_TOKENIZER_FILE to the embedding model's tokenizer.json"
            )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        step = json.loads(file.read_text(encoding="utf-8"))["pre_tokenizer"] or {}
        self._remembered = lru_cache(_REMEMBERED)(self._spans)
        self.adds_up = step.get("type") in _CUT_AT_SPACE

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens included."""
        return len(self._tokenizer.encode_batch_fast([text])[0])

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Where each token stands in `text` (code points, end exclusive), no special tokens."""
        return self._remembered(text) if len(text) <= _SHORT else self._spans(text)

    def _spans(self, text: str) -> Sequence[tuple[int, int]]:
        offsets: list[tuple[int, int]] = self._tokenizer.encode(
            text, add_special_tokens=False
        ).offsets
        return offsets
