"""Constrained output by xgrammar: JSON schema, regular expression, grammar, or a choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import xgrammar

from gyre_models.contract.choices import choice_grammar
from gyre_models.contract.refusal import Refusal, invalid
from gyre_models.contract.request import Guide
from gyre_models.torch_engine.checkpoint import Checkpoint

CACHE_BYTES = 64 << 20


class GuideCompiler:
    """Compiles guides for one tokenizer; the compiler keeps the last ones."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        info = xgrammar.TokenizerInfo.from_huggingface(
            checkpoint.tokenizer,
            vocab_size=checkpoint.vocabulary,
            stop_token_ids=sorted(checkpoint.end_ids),
        )
        self._compiler = xgrammar.GrammarCompiler(
            info, max_threads=1, cache_limit_bytes=CACHE_BYTES
        )

    def compile(self, guide: Guide) -> RowGuide:
        """Raises `Refusal` [INVALID_ARGUMENT] with the compiler's own words."""
        try:
            return RowGuide(self._compile[guide.kind](guide.text))
        except Refusal:
            raise
        # xgrammar raises what its C++ side raised: RuntimeError, ValueError and its own kinds.
        except Exception as error:
            raise invalid(f"guided_decoding_guide ({guide.kind}): {error}") from error

    @property
    def _compile(self) -> dict[str, Callable[[str], Any]]:
        compiler = self._compiler
        return {
            # Free white space lets a weak model write blanks for ever.
            "json": lambda text: compiler.compile_json_schema(text, any_whitespace=False),
            "json_object": lambda text: compiler.compile_builtin_json_grammar(),
            "regex": compiler.compile_regex,
            "grammar": compiler.compile_grammar,
            "choice": lambda text: compiler.compile_grammar(choice_grammar(text)),
        }


class RowGuide:
    """One answer's place in its grammar."""

    def __init__(self, grammar: xgrammar.CompiledGrammar) -> None:
        self._matcher = xgrammar.GrammarMatcher(grammar)

    def fill(self, mask: torch.Tensor, row: int) -> bool:
        """Writes the allowed tokens into row `row`; False where all are allowed."""
        return bool(self._matcher.fill_next_token_bitmask(mask, row))

    def accept(self, token: int) -> bool:
        """False where the token does not fit, which means that none did."""
        return bool(self._matcher.accept_token(token))

    @property
    def finished(self) -> bool:
        return bool(self._matcher.is_terminated())


def apply(logits: torch.Tensor, guides: list[RowGuide | None]) -> None:
    """Forbids, in place, the tokens that guided rows may not write. logits [rows, vocabulary]."""
    guided = [index for index, guide in enumerate(guides) if guide is not None]
    if not guided:
        return
    mask = xgrammar.allocate_token_bitmask(len(guides), logits.shape[1])
    rows = [index for index in guided if guides[index].fill(mask, index)]  # type: ignore[union-attr]
    if rows:
        xgrammar.apply_token_bitmask_inplace(
            logits, mask.to(logits.device), vocab_size=logits.shape[1], indices=rows
        )
