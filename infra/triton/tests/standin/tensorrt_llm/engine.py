"""The stand-in's engine. Nothing of this is TensorRT-LLM's: only what it says, and when."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from gyre_models.contract.request import Guide, Sampling
from gyre_models.torch_engine import guides
from gyre_models.torch_engine.checkpoint import load
from gyre_models.torch_engine.guides import GuideCompiler, RowGuide
from gyre_models.torch_engine.sampling import RowSampler, choose
from gyre_models.torch_engine.settings import EngineSettings

from tensorrt_llm.executor.result import IterationResult, Logprob, RequestOutput, Response


@dataclass(eq=False)
class Job:
    """One request inside the engine."""

    result: RequestOutput
    params: Any
    adapter: str
    salt: str | None
    streaming: bool
    trace_headers: Mapping[str, str] | None
    guide: RowGuide | None = None
    sampler: RowSampler | None = None
    cache: Any = None
    tokens: list[int] = field(default_factory=list)
    cached: int = 0
    aborted: bool = False


class Engine:
    """pause_s: of every step, for tests that need time. Jobs are kept for tests to look at."""

    pause_s: ClassVar[float] = 0.0

    def __init__(self, model: Path, batch: int, block: int, adapters: bool) -> None:
        self._model = load(model, EngineSettings())
        self._guides = GuideCompiler(self._model)
        self._batch, self._block, self._adapters = batch, block, adapters
        self._known: set[tuple[str | None, str, tuple[int, ...]]] = set()
        self.jobs: list[Job] = []
        self._active: list[Job] = []
        self.stats: IterationResult | None = None
        self.down, self.frozen, self.failure = False, False, None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="standin", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        with self._changed:
            self.jobs.append(job)
            self._active.append(job)
            self._changed.notify()

    def abort(self, request_id: int) -> None:
        for job in self._active:
            if job.result.request_id == request_id:
                job.aborted = True

    def stop(self) -> None:
        with self._changed:
            self.down = True
            self._changed.notify()
        self._thread.join()

    def fail(self, error: Exception) -> None:
        """What a lost GPU does: everybody hears of it, nobody is answered any more."""
        with self._changed:
            self.failure = error
            self._changed.notify()

    def _run(self) -> None:
        torch.set_num_threads(1)
        while not self.down:
            with self._changed:
                if not self._active and self.failure is None:
                    self._changed.wait(0.1)
            if self.failure is not None:
                self.down = True
                for job in self._active:
                    job.result.put(Response(error=self.failure))
            elif not self.frozen:
                self._step()

    def _step(self) -> None:
        for job in self._active[: self._batch]:
            try:
                response = self._advance(job)
            except Exception as error:
                response = Response(error=f"{type(error).__name__}: {error}")
            ended = response.finish_reason is not None or response.error is not None
            if ended:
                self._active.remove(job)
            if job.streaming or ended:
                job.result.put(response)
        if self._active:
            time.sleep(self.pause_s)
            self._tell()

    def _tell(self) -> None:
        if self.stats is not None:
            blocks = {"usedNumBlocks": len(self._active), "maxNumBlocks": self._batch}
            active = min(len(self._active), self._batch)
            queued = len(self._active) - active
            figures = {"numActiveRequests": active, "numQueuedRequests": queued}
            self.stats.put({**figures, "kvCacheStats": blocks})

    def _advance(self, job: Job) -> Response:
        if job.aborted:
            return Response(finish_reason="cancelled", cached_tokens=job.cached)
        if job.sampler is None:
            self._begin(job)
        logits = self._forward(job)
        token, score = self._pick(job, logits)
        job.tokens.append(token)
        scores = ({token: Logprob(score, 1)},) if job.params.logprobs else ()
        reason, dropped = self._ending(job, token)
        return Response((token,), scores, reason, dropped, job.cached)

    def _begin(self, job: Job) -> None:
        asked = job.params
        warm = not asked._greedy_decoding
        sampling = Sampling(
            temperature=(1.0 if asked.temperature is None else asked.temperature) if warm else 0.0,
            top_p=asked.top_p or 1.0,
            top_k=asked.top_k or 0,
            min_p=asked.min_p or 0.0,
            repetition_penalty=asked.repetition_penalty or 1.0,
            presence_penalty=asked.presence_penalty or 0.0,
            frequency_penalty=asked.frequency_penalty or 0.0,
            seed=asked.seed or 0,
        )
        job.sampler = RowSampler(sampling, job.result.prompt_token_ids)
        if (guided := asked.guided_decoding) is not None:
            kind = next(
                k for k in ("json", "regex", "grammar", "json_object") if getattr(guided, k)
            )
            job.guide = self._guides.compile(Guide(kind, str(getattr(guided, kind))))
        job.cached = self._reuse(job)

    def _reuse(self, job: Job) -> int:
        prompt, known = tuple(job.result.prompt_token_ids), 0
        if self._block:
            for end in range(self._block, len(prompt), self._block):
                name = (job.salt, job.adapter, prompt[:end])
                known = end if name in self._known else known
                self._known.add(name)
        return known

    @torch.inference_mode()
    def _forward(self, job: Job) -> torch.Tensor:
        ids = [job.tokens[-1]] if job.tokens else job.result.prompt_token_ids
        model = self._model.model
        with self._adapted(model, job.adapter):
            reply = model(input_ids=torch.tensor([ids]), past_key_values=job.cache, use_cache=True)
        job.cache = reply.past_key_values
        logits: torch.Tensor = reply.logits[:, -1].float().clone()
        return logits

    def _adapted(self, model: Any, name: str) -> Any:
        if not self._model.adapters:
            return contextlib.nullcontext()
        if not name:
            return model.disable_adapter()
        model.set_adapter(name)
        return contextlib.nullcontext()

    @torch.inference_mode()
    def _pick(self, job: Job, logits: torch.Tensor) -> tuple[int, float]:
        assert job.sampler is not None
        raw = logits[0].log_softmax(-1)
        if job.sampler.sampling.penalised:
            job.sampler.penalise(logits[0])
        guides.apply(logits, [job.guide])
        (token,) = choose(logits, [job.sampler])
        job.sampler.note(token)
        if job.guide is not None:
            job.guide.accept(token)
        return token, float(raw[token])

    def _ending(self, job: Job, token: int) -> tuple[str | None, int]:
        """The end token stays among the tokens, a stop token does not."""
        if token == self._model.tokenizer.eos_token_id:
            return "stop", 0
        if token in (job.params.stop_token_ids or ()):
            return "stop", 1
        if job.guide is not None and job.guide.finished:
            return "stop", 0
        return ("length", 0) if len(job.tokens) >= job.params.max_tokens else (None, 0)
