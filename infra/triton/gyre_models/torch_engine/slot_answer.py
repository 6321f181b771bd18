"""An answer that has, or waits for, a slot of the cache."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_models.contract.answer import Answer
from gyre_models.contract.outcome import FinishReason
from gyre_models.torch_engine.guides import RowGuide
from gyre_models.torch_engine.sampling import RowSampler


@dataclass(eq=False, kw_only=True)
class SlotAnswer(Answer):
    """filled: prompt tokens in the cache; length: all tokens in the cache."""

    sampler: RowSampler
    guide: RowGuide | None = None
    filled: int = 0

    @property
    def length(self) -> int:
        """The last written token is not in the cache yet: it goes in with the next step."""
        return self.filled + max(len(self.written) - 1, 0)

    @property
    def scope(self) -> str:
        """What may share prompt starts."""
        return f"{self.request.lora_name}\0{self.request.cache_salt}"

    def write(self, token: int, end_ids: frozenset[int]) -> tuple[FinishReason, str] | None:
        if token not in end_ids:
            self.sampler.note(token)
        return super().write(token, end_ids)
