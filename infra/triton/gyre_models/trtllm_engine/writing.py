"""One answer while TensorRT-LLM writes it: its outputs become tokens of the answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from gyre_models.contract.answer import Answer
from gyre_models.contract.outcome import FinishReason

Ended = tuple[FinishReason, str]
FINISHES = {reason.value: reason for reason in FinishReason}


class Writing:
    """Reads a `RequestOutput`: the same object comes again and again, with a newer difference."""

    def __init__(self, answer: Answer, end_ids: frozenset[int]) -> None:
        self.answer = answer
        self._end_ids = end_ids
        self._result: Any = None

    async def read(self, result: Any) -> AsyncIterator[Ended | None]:
        """After every part: how the answer ended, if it did; nothing follows an end."""
        self._result = result
        async for output in result:
            if self.answer.ended:
                return
            self.answer.cached = output.cached_tokens
            ended = self._take(output.outputs[0])
            if ended is None and output.finished:
                ended = FINISHES.get(output.outputs[0].finish_reason, FinishReason.STOP), ""
            yield ended
            if ended is not None:
                return

    def abort(self) -> None:
        """The engine stops writing it; may be repeated, also after its end."""
        if self._result is not None and not self._result.finished and not self._result.aborted():
            self._result.abort()

    def _take(self, output: Any) -> Ended | None:
        """Tokens of one part, and their log-probabilities."""
        answer = self.answer
        tokens = output.token_ids_diff
        if tokens and not answer.first_token:
            answer.first_token = time.monotonic_ns()
        scores = output.logprobs_diff if answer.request.return_log_probs else []
        for index, token in enumerate(tokens):
            if token not in self._end_ids and index < len(scores):
                answer.log_probs.append(_score(scores[index], token))
            if (ended := answer.write(token, self._end_ids)) is not None:
                return ended
        return None


def _score(entry: Any, token: int) -> float:
    """A number, or the best tokens with theirs, the written one always among them."""
    return float(entry[token].logprob if isinstance(entry, dict) else entry)
