"""Who is written now, who waits, who leaves: all of it in the engine's event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from gyre_models.contract.admission import Doorkeeper, WaitingRoom
from gyre_models.contract.answer import Answer
from gyre_models.contract.outcome import FinishReason
from gyre_models.contract.refusal import Prefix, Refusal
from gyre_models.contract.stats import Levels, Stats
from gyre_models.trtllm_engine.settings import EngineSettings
from gyre_models.trtllm_engine.vendor import Vendor
from gyre_models.trtllm_engine.writing import Writing

log = logging.getLogger(__name__)
LOOK_S = 0.05
CANCEL_LOOKS = 3
STATS_S = 0.5
UNREAD_S = 30.0
CANCEL_AGAIN_S = 1.0


class Desk:
    """No more answers than the engine's batch holds, so that its own queue stays empty and
    priority, deadlines and cancellations of those who wait are the same for all engines."""

    def __init__(
        self,
        vendor: Vendor,
        room: WaitingRoom[Answer],
        stats: Stats,
        end_ids: frozenset[int],
        settings: EngineSettings,
    ) -> None:
        self.death: Refusal | None = None
        self._vendor, self._room, self._stats = vendor, room, stats
        self._end_ids, self._settings = end_ids, settings
        self._running: dict[Writing, asyncio.Task[None]] = {}
        self._doorkeeper = Doorkeeper(room, stats)
        self._heard = time.monotonic()
        self._iteration: dict[str, Any] = {}
        self._looks, self._closed = 0, False

    def admit(self) -> None:
        """Begins with those who waited, while there is room in the batch."""
        while len(self._running) < self._settings.llm.max_batch_size and self._room.peek():
            answer = self._room.pop()
            if self.death is not None:
                self._refuse(answer, self.death)
                continue
            if not self._running:
                self._heard = time.monotonic()
            writing = Writing(answer, self._end_ids)
            self._running[writing] = asyncio.get_running_loop().create_task(self._write(writing))

    async def run(self) -> None:
        """Looks after those who wait and those who are written, until `stop`.

        Everything unfinished is then refused with [STOPPING], and the engine ends.
        """
        figures = asyncio.create_task(self._listen())
        while not self._closed:
            try:
                self._look(time.monotonic_ns())
            # A dead loop would hang every caller while Triton says READY.
            except Exception:
                log.exception("a look at the answers failed")
            await asyncio.sleep(LOOK_S)
        for writing in self._running:
            writing.abort()
        self._refuse_all(Refusal(Prefix.STOPPING, "the model is being unloaded: try another one"))
        await _end({figures, *self._running.values()})
        await asyncio.to_thread(self._vendor.llm.shutdown)

    def stop(self) -> None:
        self._closed = True

    def levels(self, adapters: int, alive: bool) -> Levels:
        """Safe from another thread: a glance, not a promise."""
        blocks = self._iteration.get("kvCacheStats") or {}
        return Levels(
            waiting=len(self._room) + int(self._iteration.get("numQueuedRequests") or 0),
            running=len(self._running),
            cache_use=(blocks.get("usedNumBlocks") or 0) / (blocks.get("maxNumBlocks") or 1),
            adapters=adapters,
            up=alive and self.death is None,
        )

    # Write --------------------------------------------------------------------------------

    async def _write(self, writing: Writing) -> None:
        writing.answer.begun = time.monotonic_ns()
        try:
            if (result := self._begin(writing.answer)) is not None:
                async for ended in writing.read(result):
                    self._heard = time.monotonic()
                    self._took(writing, ended)
        except self._vendor.request_error as error:
            self._refuse(writing.answer, _refusal_of(writing.answer, error))
        # Whatever else comes out of it is the engine's end: it answers nobody after that.
        except Exception as error:
            log.exception("the engine failed")
            self._die(f"{type(error).__name__}: {error}")
        finally:
            del self._running[writing]
            if not self._closed:
                self.admit()

    def _begin(self, answer: Answer) -> Any:
        """None where the engine does not want the request."""
        try:
            return self._vendor.generate(answer, self._end_ids)
        except ValueError as error:
            self._refuse(answer, Refusal(Prefix.INVALID, str(error)))
            return None

    def _took(self, writing: Writing, ended: tuple[FinishReason, str] | None) -> None:
        answer, now = writing.answer, time.monotonic_ns()
        if ended is not None:
            self._finish(writing, *ended)
        elif (
            answer.due(now, self._settings.coalesce_ms)
            or len(self._running) <= self._settings.coalesce_above
        ):
            answer.flush(now)

    # Watch --------------------------------------------------------------------------------

    def _look(self, now: int) -> None:
        self._doorkeeper.sweep(now)
        self._looks += 1
        for writing in list(self._running):
            if writing.answer.late(now):
                self._finish(writing, FinishReason.TIMEOUT)
            elif self._looks % CANCEL_LOOKS == 0 and writing.answer.caller.cancelled():
                self._finish(writing, FinishReason.CANCELLED)
        silence = time.monotonic() - self._heard
        if self._running and silence > self._settings.silence_s and self.death is None:
            self._die(f"it owed answers and was silent for {silence:.0f} s")

    async def _listen(self) -> None:
        """The newest figures of the engine's own loop."""
        while True:
            try:
                async for iteration in self._vendor.llm.get_stats_async(timeout=STATS_S):
                    self._iteration = iteration
            # Figures are for people; whether the engine lives is seen by its answers.
            except Exception:
                log.exception("the engine's figures could not be read")
                await asyncio.sleep(UNREAD_S)
            await asyncio.sleep(STATS_S)

    # End ----------------------------------------------------------------------------------

    def _finish(self, writing: Writing, reason: FinishReason, stop_reason: str = "") -> None:
        writing.abort()
        if not writing.answer.ended:
            self._stats.ended(writing.answer.finish(reason, stop_reason))

    def _refuse(self, answer: Answer, refusal: Refusal) -> None:
        if not answer.ended:
            self._stats.refused(refusal.prefix.value)
            answer.refuse(refusal)

    def _refuse_all(self, refusal: Refusal) -> None:
        for writing, task in self._running.items():
            self._refuse(writing.answer, refusal)
            task.cancel()
        for answer in self._room.remove(lambda answer: True):
            self._refuse(answer, refusal)

    def _die(self, why: str) -> None:
        if self.death is None and not self._closed:
            self.death = Refusal(Prefix.INTERNAL, f"the engine is dead, reload the model: {why}")
            self._refuse_all(self.death)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancels until they end: TensorRT-LLM reads with `wait_for`, which in Python 3.11 swallows a
    cancellation that comes with an item; the model could never be unloaded."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN_S)


def _refusal_of(answer: Answer, error: Exception) -> Refusal:
    """The engine compiles a guide when it begins: what it says then is about the guide."""
    guided = answer.request.guide is not None and not answer.written
    return Refusal(Prefix.INVALID if guided else Prefix.INTERNAL, str(error))
