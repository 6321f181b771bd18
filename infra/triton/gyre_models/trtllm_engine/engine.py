"""The engine as others see it: TensorRT-LLM batches, this side admits, watches and tells."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gyre_models.contract.admission import WaitingRoom
from gyre_models.contract.answer import Answer, Caller
from gyre_models.contract.intake import Intake
from gyre_models.contract.prompts import Prompts
from gyre_models.contract.request import GenerationRequest
from gyre_models.contract.stats import Levels, Stats
from gyre_models.trtllm_engine import checkpoint
from gyre_models.trtllm_engine.desk import Desk
from gyre_models.trtllm_engine.settings import EngineSettings
from gyre_models.trtllm_engine.vendor import Vendor, guide

log = logging.getLogger(__name__)


class TrtllmEngine:
    """One `LLM`, driven from an event loop in its own thread. See `Engine`."""

    def __init__(
        self, vendor: Vendor, prompts: Prompts, end_ids: frozenset[int], settings: EngineSettings
    ) -> None:
        self.stats = Stats()
        self._prompts = prompts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gyre-loop", daemon=True)
        room = WaitingRoom[Answer](settings.max_waiting)
        self._desk = Desk(vendor, room, self.stats, end_ids, settings)
        self._adapters = len(prompts.adapters)
        admitted = partial(self._loop.call_soon_threadsafe, self._desk.admit)
        self._intake = Intake(room, self.stats, self._read, admitted)
        self._thread.start()

    @classmethod
    def open(cls, weights: Path, settings: EngineSettings) -> TrtllmEngine:
        """Returns when the engine can answer: minutes for a large model."""
        prompts, end_ids = checkpoint.read(weights, settings)
        with ThreadPoolExecutor(1, thread_name_prefix="gyre-start") as starter:
            vendor = starter.submit(Vendor, weights, settings.llm).result()
        log.info("TensorRT-LLM %s has started", vendor.version)
        return cls(vendor, prompts, end_ids, settings)

    def submit(self, request: GenerationRequest, caller: Caller) -> None:
        if (death := self._desk.death) is not None:
            self._intake.refuse(caller, death)
        else:
            self._intake.submit(request, caller)

    def levels(self) -> Levels:
        return self._desk.levels(self._adapters, alive=self._thread.is_alive())

    def close(self) -> None:
        self._intake.close()
        self._desk.stop()
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._desk.run())

    def _read(self, request: GenerationRequest, caller: Caller, arrival: int) -> Answer:
        prompt, most = self._prompts.read(request)
        if request.guide is not None:
            guide(request.guide)
        return Answer(
            request=request,
            caller=caller,
            arrival=arrival,
            prompt=prompt,
            max_tokens=most,
            text=self._prompts.text(request),
        )
