"""A request's prompt as tokens, and the limits of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from gyre_models.contract.refusal import Prefix, Refusal, invalid
from gyre_models.contract.request import GenerationRequest
from gyre_models.contract.text import TextStream


@dataclass(frozen=True)
class Prompts:
    """What a model can read. tokenizer: of transformers, fast. max_length: prompt and answer."""

    tokenizer: Any
    vocabulary: int
    max_length: int
    adapters: tuple[str, ...]
    default_max_tokens: int

    def read(self, request: GenerationRequest) -> tuple[Sequence[int], int]:
        """The prompt's tokens and the most that may be written; raises `Refusal`."""
        if request.lora_name and request.lora_name not in self.adapters:
            raise Refusal(Prefix.UNKNOWN_ADAPTER, f"no adapter {request.lora_name!r} here")
        prompt = self._tokens(request)
        room = self.max_length - len(prompt)
        if room < 1:
            most = self.max_length - 1
            raise Refusal(
                Prefix.PROMPT_TOO_LONG, f"{len(prompt)} tokens: at most {most} leave an answer"
            )
        return prompt, min(request.max_tokens or self.default_max_tokens, room)

    def text(self, request: GenerationRequest) -> TextStream:
        """For the answer's tokens."""
        return TextStream(self.tokenizer.backend_tokenizer, request.stop_words)

    def _tokens(self, request: GenerationRequest) -> Sequence[int]:
        if request.input_ids is not None:
            return self._checked(request.input_ids)
        if request.text is not None:
            ids: list[int] = self.tokenizer(request.text)["input_ids"]
        else:
            ids = self.tokenizer(self._render(request), add_special_tokens=False)["input_ids"]
        if not ids:
            raise invalid("the prompt has no tokens")
        return ids

    def _render(self, request: GenerationRequest) -> str:
        """The model's own chat template, which runs in transformers' Jinja sandbox."""
        if not self.tokenizer.chat_template:
            raise invalid("this model has no chat template: send text_input")
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(request.messages or ()), tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise invalid(f"the chat template refuses these messages: {error}") from error
        return text

    def _checked(self, ids: Sequence[int]) -> Sequence[int]:
        if bad := [token for token in ids if not 0 <= token < self.vocabulary]:
            raise invalid(f"input_ids: {bad[0]} is outside the vocabulary")
        return ids
