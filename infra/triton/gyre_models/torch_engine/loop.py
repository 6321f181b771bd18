"""The in-flight loop: admit and read prompts, write one token for every slot, tidy the slots."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from gyre_models.contract.admission import Doorkeeper, WaitingRoom
from gyre_models.contract.outcome import FinishReason
from gyre_models.contract.refusal import Prefix, Refusal
from gyre_models.contract.stats import Levels, Stats
from gyre_models.torch_engine import guides
from gyre_models.torch_engine.checkpoint import Checkpoint
from gyre_models.torch_engine.forward import Forward
from gyre_models.torch_engine.prefix import PrefixCache
from gyre_models.torch_engine.sampling import choose
from gyre_models.torch_engine.settings import EngineSettings
from gyre_models.torch_engine.slot_answer import SlotAnswer

log = logging.getLogger(__name__)


class Loop:
    """Owns the model and the slots. Slot i belongs to `_running[i]`.

    A prompt that is longer than one step's share is `_filling`, in the slot after the last
    running one, so that decoding always has the rows 0 to n - 1.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: EngineSettings,
        room: WaitingRoom[SlotAnswer],
        stats: Stats,
    ) -> None:
        self._settings, self._room, self._stats = settings, room, stats
        self._end_ids, self._adapters = checkpoint.end_ids, len(checkpoint.adapters)
        self._forward = Forward(checkpoint, settings.slots, checkpoint.max_length)
        self._prefixes = PrefixCache(settings.prefix_cache_mb << 20, settings.prefix_block)
        self._running: list[SlotAnswer] = []
        self._filling: SlotAnswer | None = None
        self._doorkeeper = Doorkeeper(room, stats)
        self._turns = 0
        self._stopping = threading.Event()

    def run(self) -> None:
        """Until `stop`; everything unfinished is then refused with [STOPPING]."""
        torch.set_num_threads(self._settings.threads)
        while not self._stopping.is_set():
            if not self._running and self._filling is None:
                self._room.wait(0.05)
            try:
                self.step()
            # A dead loop would hang every caller while Triton says READY.
            except Exception as error:
                log.exception("a turn of the loop failed")
                self._refuse_all(Refusal(Prefix.INTERNAL, f"{type(error).__name__}: {error}"))
        self._refuse_all(Refusal(Prefix.STOPPING, "the model is being unloaded: try another one"))

    def stop(self) -> None:
        self._stopping.set()
        self._room.wake()

    @torch.inference_mode()
    def step(self) -> None:
        """One turn of the loop: read, write, tidy."""
        now = time.monotonic_ns()
        self._turns += 1
        self._doorkeeper.sweep(now)
        self._read_prompts()
        self._write_tokens()
        self._tidy(now)

    def levels(self, up: bool = True) -> Levels:
        """Safe from another thread: a glance, not a promise."""
        running = [*self._running, *([self._filling] if self._filling else [])]
        places = self._settings.slots * self._forward.cache.length
        return Levels(
            waiting=len(self._room),
            running=len(running),
            cache_use=sum(answer.length for answer in running) / places,
            prefix_bytes=self._prefixes.size,
            adapters=self._adapters,
            up=up,
        )

    # Read ---------------------------------------------------------------------------------

    def _read_prompts(self) -> None:
        budget = self._settings.prefill_tokens_per_step
        while budget > 0:
            if self._filling is None:
                budget -= self._read_fresh(budget)
                self._filling = self._next_answer() if budget > 0 else None
            if self._filling is None:
                return
            chunk = self._filling.prompt[self._filling.filled :][:budget]
            budget -= self._guarded([self._filling], partial(self._read_chunk, chunk))

    def _next_answer(self) -> SlotAnswer | None:
        """The first of the room, with the known start of its prompt in its slot already."""
        if len(self._running) >= self._settings.slots or self._room.peek() is None:
            return None
        answer = self._room.pop()
        answer.begun = time.monotonic_ns()
        if (known := self._prefixes.find(answer.scope, answer.prompt)) is not None:
            self._forward.cache.restore(len(self._running), *known)
            answer.filled = answer.cached = known[0].shape[2]
        return answer

    def _read_fresh(self, budget: int) -> int:
        """Reads whole short prompts of unknown start in one padded forward; returns its cost."""
        batch: list[SlotAnswer] = []
        while (answer := self._room.peek()) is not None and self._fits(answer, batch, budget):
            batch.append(self._room.pop())
            answer.begun = time.monotonic_ns()
        if not batch:
            return 0
        return self._guarded(batch, partial(self._read_batch, batch))

    def _fits(self, answer: SlotAnswer, batch: Sequence[SlotAnswer], budget: int) -> bool:
        width = max(len(other.prompt) for other in [*batch, answer])
        return (
            len(self._running) + len(batch) < self._settings.slots
            and width * (len(batch) + 1) <= budget
            and self._prefixes.find(answer.scope, answer.prompt) is None
        )

    def _read_batch(self, batch: list[SlotAnswer]) -> int:
        first = len(self._running)
        prompts = [answer.prompt for answer in batch]
        logits = self._forward.prefill(prompts, first, 0, _adapters(batch))
        for answer in batch:
            answer.filled = len(answer.prompt)
        self._begin(batch, logits)
        return max(map(len, prompts)) * len(prompts)

    def _read_chunk(self, chunk: Sequence[int]) -> int:
        answer, slot = self._filling, len(self._running)
        if answer is None:
            return 0
        logits = self._forward.prefill([chunk], slot, answer.filled, _adapters([answer]))
        answer.filled += len(chunk)
        if answer.filled == len(answer.prompt):
            self._filling = None
            self._begin([answer], logits)
        return len(chunk)

    def _begin(self, batch: list[SlotAnswer], logits: torch.Tensor) -> None:
        """Prompts are read: the answers get their first token and their place in the row."""
        for answer in batch:
            slot = len(self._running)
            self._running.append(answer)
            read = partial(self._forward.cache.read, slot)
            self._prefixes.store(answer.scope, answer.prompt, read)
        self._say(batch, logits)

    # Write --------------------------------------------------------------------------------

    def _write_tokens(self) -> None:
        rows = list(self._running)
        if rows:
            self._guarded(rows, partial(self._write_rows, rows))

    def _write_rows(self, rows: list[SlotAnswer]) -> int:
        tokens = [answer.written[-1] for answer in rows]
        lengths = [answer.length for answer in rows]
        self._say(rows, self._forward.decode(tokens, lengths, _adapters(rows)))
        return 0

    def _say(self, rows: list[SlotAnswer], logits: torch.Tensor) -> None:
        raw = logits.clone() if any(answer.request.return_log_probs for answer in rows) else None
        for index, answer in enumerate(rows):
            if answer.request.sampling.penalised:
                answer.sampler.penalise(logits[index])
        guides.apply(logits, [answer.guide for answer in rows])
        tokens = choose(logits, [answer.sampler for answer in rows])
        scores = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
        usable = scores.isfinite().flatten().tolist()
        now = time.monotonic_ns()
        for index, (answer, token) in enumerate(zip(rows, tokens, strict=True)):
            if not usable[index] or (answer.guide and not answer.guide.accept(token)):
                self._refuse(answer, Refusal(Prefix.INTERNAL, "no token has a finite score"))
                continue
            if raw is not None and answer.request.return_log_probs and token not in self._end_ids:
                answer.log_probs.append(float(raw[index].log_softmax(-1)[token]))
            self._take(answer, token, now)

    def _take(self, answer: SlotAnswer, token: int, now: int) -> None:
        answer.first_token = answer.first_token or now
        ended = answer.write(token, self._end_ids)
        if ended is None and answer.guide is not None and answer.guide.finished:
            ended = FinishReason.STOP, ""
        if ended is not None:
            self._finish(answer, *ended)
        elif self._due(answer, now):
            answer.flush(now)

    def _due(self, answer: SlotAnswer, now: int) -> bool:
        """Under load tokens travel together: a response costs more than a token."""
        few = len(self._running) <= self._settings.coalesce_above
        return few or answer.due(now, self._settings.coalesce_ms)

    # Tidy ---------------------------------------------------------------------------------

    def _tidy(self, now: int) -> None:
        for index, answer in enumerate([*self._running, self._filling]):
            if answer is None:
                continue
            if answer.late(now):
                self._finish(answer, FinishReason.TIMEOUT)
            elif self._asks(index) and answer.caller.cancelled():
                self._finish(answer, FinishReason.CANCELLED)

    def _asks(self, index: int) -> bool:
        """Looking for a cancellation costs time: every row asks at its own turn."""
        return (self._turns + index) % self._settings.poll_steps == 0

    def _finish(self, answer: SlotAnswer, reason: FinishReason, stop_reason: str = "") -> None:
        if not answer.ended:
            self._free(answer)
            self._stats.ended(answer.finish(reason, stop_reason))

    def _refuse(self, answer: SlotAnswer, refusal: Refusal) -> None:
        if not answer.ended:
            self._free(answer)
            self._stats.refused(refusal.prefix.value)
            answer.refuse(refusal)

    def _free(self, answer: SlotAnswer) -> None:
        """The last running slot moves into the hole, and a filling one moves up behind it."""
        cache = self._forward.cache
        if answer is self._filling:
            self._filling = None
        elif answer in self._running:
            hole, last = self._running.index(answer), len(self._running) - 1
            if hole != last:
                # One more than its length: the step's token is in the cache before it is counted.
                cache.move(last, hole, self._running[last].length + 1)
                self._running[hole] = self._running[last]
            self._running.pop()
            if self._filling is not None:
                cache.move(last + 1, last, self._filling.filled)

    def _guarded(self, answers: list[SlotAnswer], work: Callable[[], int]) -> int:
        """A failed forward (out of memory, a bug) costs its own answers, never the loop."""
        try:
            return work()
        except Exception as error:
            log.exception("a forward over %d answers failed", len(answers))
            for answer in answers:
                self._refuse(answer, Refusal(Prefix.INTERNAL, f"{type(error).__name__}: {error}"))
            return 0

    def _refuse_all(self, refusal: Refusal) -> None:
        waiting = self._room.remove(lambda answer: True)
        for answer in [*self._running, *([self._filling] if self._filling else []), *waiting]:
            self._refuse(answer, refusal)


def _adapters(answers: Sequence[SlotAnswer]) -> list[str]:
    return [answer.request.lora_name for answer in answers]
