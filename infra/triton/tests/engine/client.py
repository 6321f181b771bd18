"""Asks an engine in this process and gathers what comes back."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field

from gyre_models.contract.intake import Engine
from gyre_models.contract.outcome import Emission, Outcome
from gyre_models.contract.refusal import Refusal
from gyre_models.contract.request import GenerationRequest, Guide

LIMIT_S = 60.0
ENDLESS = Guide("regex", "[a-z]{600}")  # random weights may end any text that is free to end


@dataclass(eq=False)
class Client:
    """A caller that keeps every part. `gone` is what `cancelled` says."""

    parts: list[Emission] = field(default_factory=list)
    gone: bool = False
    _inbox: queue.SimpleQueue[Emission] = field(default_factory=queue.SimpleQueue)

    def send(self, emission: Emission) -> None:
        self._inbox.put(emission)

    def cancelled(self) -> bool:
        return self.gone

    def next(self) -> Emission:
        self.parts.append(self._inbox.get(timeout=LIMIT_S))
        return self.parts[-1]

    def wait(self) -> Client:
        while not (self.parts and self.parts[-1].last):
            self.next()
        return self

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def tokens(self) -> list[int]:
        return [token for part in self.parts for token in part.token_ids]

    @property
    def outcome(self) -> Outcome:
        last = self.parts[-1]
        if last.refusal is not None:
            raise last.refusal
        assert last.outcome is not None
        return last.outcome

    @property
    def refusal(self) -> Refusal:
        refusal = self.parts[-1].refusal
        assert refusal is not None, f"answered: {self.text!r}"
        return refusal


def ask(engine: Engine, **request: object) -> Client:
    """Sends without waiting."""
    client = Client()
    engine.submit(GenerationRequest(**request), client)  # type: ignore[arg-type]
    return client


def answer(engine: Engine, **request: object) -> Client:
    client = ask(engine, **request).wait()
    assert client.outcome
    return client
