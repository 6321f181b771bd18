"""The way in that all engines share: a place, then a prompt, then the waiting room."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol

from gyre_models.contract.admission import Waiter, WaitingRoom
from gyre_models.contract.answer import Caller
from gyre_models.contract.outcome import Emission
from gyre_models.contract.refusal import Prefix, Refusal
from gyre_models.contract.request import GenerationRequest
from gyre_models.contract.stats import Levels, Stats


class Engine(Protocol):
    """A language model that answers in its own threads. Made, it runs."""

    @property
    def stats(self) -> Stats: ...

    def submit(self, request: GenerationRequest, caller: Caller) -> None:
        """Returns at once. A refusal comes to the caller as its last emission."""

    def levels(self) -> Levels: ...

    def close(self) -> None:
        """Refuses what is unfinished and waits for the engine's threads."""


class Intake(Generic[Waiter]):
    """Tokenising and compiling guides hold up neither Triton's thread nor the engine's."""

    def __init__(
        self,
        room: WaitingRoom[Waiter],
        stats: Stats,
        read: Callable[[GenerationRequest, Caller, int], Waiter],
        admitted: Callable[[], object] = lambda: None,
    ) -> None:
        """read(request, caller, arrival in ns): makes the answer or raises `Refusal`.

        admitted: called after every answer that went into the room, from the intake's thread.
        """
        self._room, self._stats, self._read, self._admitted = room, stats, read, admitted
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gyre-intake")

    def submit(self, request: GenerationRequest, caller: Caller) -> None:
        arrival = time.monotonic_ns()
        try:
            self._room.take_place()
        except Refusal as refusal:
            self.refuse(caller, refusal)
        else:
            self._thread.submit(self._admit, request, caller, arrival)

    def close(self) -> None:
        """Those that were submitted are in the room, or refused, after this."""
        self._thread.shutdown(wait=True)

    def refuse(self, caller: Caller, refusal: Refusal) -> None:
        self._stats.refused(refusal.prefix.value)
        caller.send(Emission(refusal=refusal))

    def _admit(self, request: GenerationRequest, caller: Caller, arrival: int) -> None:
        try:
            answer = self._read(request, caller, arrival)
        except Refusal as refusal:
            self._room.give_place()
            self.refuse(caller, refusal)
        # Whatever a tokenizer or a chat template raises is told to the one who sent it.
        except Exception as error:
            self._room.give_place()
            self.refuse(caller, Refusal(Prefix.INTERNAL, f"{type(error).__name__}: {error}"))
        else:
            self._room.put(answer)
            self._admitted()
