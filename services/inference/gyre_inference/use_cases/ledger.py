"""What is known about one answer while it is made."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from gyre_inference.domain.faults import Fault
from gyre_inference.domain.generation import Ending, FinishReason, Usage
from gyre_inference.domain.record import AnswerRecord, Caller, Labels, Step, Timings

_TOOLS = ("embed", "http", "verify")
# A record is one event, which has to stay under 512 KiB.
_STEPS = 512
_DETAIL = 96 * 1024


class Ledger:
    """Grows one record: `know` adds facts, `step` times a step, `said` appends text."""

    def __init__(
        self, workload: str, caller: Caller, labels: Labels, model: str, *, answer_id: str = ""
    ) -> None:
        self._begin = time.monotonic()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._steps: list[Step] = []
        self._text: list[str] = []
        self._first_token: float | None = None
        self._ending: Ending | None = None
        self._model_seconds = 0.0
        self._detail_left = _DETAIL
        self._usage = Usage()
        self._verdicts: dict[str, str] = {}
        self._deadline = caller.deadline
        self.answer_id = answer_id or str(uuid7())
        self.tenant = caller.tenant
        self.labels = labels
        # A dictionary until the end: a frozen record would be copied for every fact.
        self._facts: dict[str, Any] = {
            "answer_id": self.answer_id,
            "chain_run_id": str(uuid7()),
            "workload": workload,
            "caller": caller,
            "labels": labels,
            "request_time": datetime.now(UTC),
            "model": model,
        }

    @property
    def chain_run_id(self) -> str:
        """Names the run."""
        return str(self._facts["chain_run_id"])

    @property
    def known(self) -> AnswerRecord:
        """The facts so far, untimed."""
        return AnswerRecord(**self._facts, usage=self._usage, guard_verdicts=self._verdicts)

    @property
    def has_text(self) -> bool:
        """Whether any text was sent."""
        return bool(self._text)

    @property
    def time_left(self) -> float | None:
        """Seconds until the caller's deadline; None where it set none."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def know(self, **facts: object) -> None:
        """Adds fields of the record, by name."""
        self._facts.update(facts)

    def judge(self, guard: str, verdict: str) -> None:
        """Adds the verdict of a guard."""
        self._verdicts[guard] = verdict

    def said(self, text: str) -> None:
        """Appends text that was sent."""
        if self._first_token is None:
            self._first_token = time.monotonic() - self._begin
        self._text.append(text)

    def ended(self, ending: Ending) -> None:
        """The model's own account of the end of the text that was sent."""
        self._ending = ending
        self.used(ending)
        self.know(finish_reason=ending.reason)

    def used(self, ending: Ending) -> None:
        """The model's own account of a text, sent or not."""
        self._model_seconds += ending.total
        self._usage = self._usage.plus(ending.usage)

    @contextmanager
    def step(self, kind: str, name: str, *, step_id: str = "", parent: str = "") -> Iterator[None]:
        """Times a step; a fault in it is its status."""
        start, begin, status = datetime.now(UTC), time.monotonic(), "CANCELLED"
        try:
            yield
            status = "ok"
        except Fault as fault:
            status = fault.status
            raise
        except Exception:
            status = "INTERNAL"
            raise
        finally:
            self._seconds[kind] += time.monotonic() - begin
            own = step_id or str(uuid7())
            step = Step(own, kind, name, start, datetime.now(UTC), status, parent)
            if len(self._steps) < _STEPS:
                self._steps.append(step)

    def detail(self, step_id: str, given: str, made: str, usage: Usage) -> None:
        """What a step was given and made, JSON, as long as there is room; its tokens."""
        size = len(given.encode()) + len(made.encode())
        if size > self._detail_left:
            given = made = ""
        else:
            self._detail_left -= size
        for place, step in enumerate(self._steps):
            if step.step_id == step_id:
                self._steps[place] = replace(step, input=given, output=made, usage=usage)

    def record(self, finish_reason: FinishReason | None = None) -> AnswerRecord:
        """All of it, timed until now."""
        reason = finish_reason or self._facts.get("finish_reason")
        return AnswerRecord(
            **{**self._facts, "finish_reason": reason},
            steps=tuple(self._steps),
            completion="".join(self._text),
            usage=self._usage,
            guard_verdicts=dict(self._verdicts),
            timings=self._timings(),
        )

    def _timings(self) -> Timings:
        ending = self._ending or Ending(FinishReason.STOP)
        total = time.monotonic() - self._begin
        return Timings(
            total=total,
            first_token=self._first_token,
            per_output_token=self._per_output_token(ending, total),
            queue=ending.queue,
            retrieval=self._seconds["retrieve"],
            selection=self._seconds["select"],
            model=self._model_seconds or self._seconds["generate"],
            tools=sum(self._seconds[kind] for kind in _TOOLS),
        )

    def _per_output_token(self, ending: Ending, total: float) -> float:
        later = ending.usage.output_tokens - 1
        return (total - self._first_token) / later if later > 0 and self._first_token else 0.0
