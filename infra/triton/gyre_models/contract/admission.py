"""The bounded room in front of an engine: by priority, then by arrival."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from gyre_models.contract.answer import Answer
from gyre_models.contract.outcome import FinishReason
from gyre_models.contract.refusal import Prefix, Refusal
from gyre_models.contract.stats import Stats

SWEEP_NS = 50_000_000
CANCEL_SWEEPS = 5
Waiter = TypeVar("Waiter", bound=Answer)


class WaitingRoom(Generic[Waiter]):
    """Places are taken at arrival, before the prompt is tokenised; safe from any thread."""

    def __init__(self, places: int) -> None:
        self._places, self._taken = places, 0
        self._heap: list[tuple[int, int, Waiter]] = []
        self._order = count()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._taken

    def take_place(self) -> None:
        """Raises `Refusal` [QUEUE_FULL]."""
        with self._changed:
            if self._taken >= self._places:
                raise Refusal(Prefix.QUEUE_FULL, f"{self._places} requests wait already: try later")
            self._taken += 1

    def give_place(self) -> None:
        """Of a request that was refused before it could be put."""
        with self._changed:
            self._taken -= 1

    def put(self, answer: Waiter) -> None:
        """The place was taken before."""
        with self._changed:
            heapq.heappush(self._heap, (answer.request.priority, next(self._order), answer))
            self._changed.notify()

    def peek(self) -> Waiter | None:
        with self._changed:
            return self._heap[0][2] if self._heap else None

    def pop(self) -> Waiter:
        with self._changed:
            self._taken -= 1
            return heapq.heappop(self._heap)[2]

    def remove(self, unwanted: Callable[[Waiter], bool]) -> list[Waiter]:
        """Takes out, and returns, all that are unwanted."""
        with self._changed:
            gone = [entry for entry in self._heap if unwanted(entry[2])]
            if gone:
                self._heap = [entry for entry in self._heap if entry not in gone]
                heapq.heapify(self._heap)
                self._taken -= len(gone)
        return [answer for _, _, answer in gone]

    def wait(self, seconds: float) -> None:
        """Until somebody is there, or the time is over, or `wake`."""
        with self._changed:
            if not self._heap:
                self._changed.wait(seconds)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Doorkeeper:
    """Sends away those whose time is over, or who left: they do not wait for a slot."""

    def __init__(self, room: WaitingRoom[Waiter], stats: Stats) -> None:
        self._room, self._stats = room, stats
        self._sweeps, self._swept = 0, 0

    def sweep(self, now: int) -> None:
        """Looks for late ones every 50 ms, for those who left every fifth time: it costs more."""
        if now - self._swept < SWEEP_NS:
            return
        self._swept = now
        for answer in self._room.remove(lambda answer: answer.late(now)):
            refusal = Refusal(Prefix.DEADLINE, "the deadline passed while waiting")
            self._stats.refused(refusal.prefix.value)
            answer.refuse(refusal)
        self._sweeps += 1
        if self._sweeps % CANCEL_SWEEPS == 0:
            for answer in self._room.remove(lambda answer: answer.caller.cancelled()):
                self._stats.ended(answer.finish(FinishReason.CANCELLED))
