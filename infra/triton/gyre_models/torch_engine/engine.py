"""The engine as others see it: requests in from any thread, parts of answers out."""

from __future__ import annotations

import threading
from pathlib import Path

from gyre_models.contract.admission import WaitingRoom
from gyre_models.contract.answer import Caller
from gyre_models.contract.intake import Intake
from gyre_models.contract.prompts import Prompts
from gyre_models.contract.request import GenerationRequest
from gyre_models.contract.stats import Levels, Stats
from gyre_models.torch_engine.checkpoint import Checkpoint, load
from gyre_models.torch_engine.guides import GuideCompiler
from gyre_models.torch_engine.loop import Loop
from gyre_models.torch_engine.sampling import RowSampler
from gyre_models.torch_engine.settings import EngineSettings
from gyre_models.torch_engine.slot_answer import SlotAnswer


class TorchEngine:
    """In-flight batching over one model. See `Engine`."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings) -> None:
        self.stats = Stats()
        self._guides = GuideCompiler(checkpoint)
        self._prompts = Prompts(
            checkpoint.tokenizer,
            checkpoint.vocabulary,
            checkpoint.max_length,
            checkpoint.adapters,
            settings.default_max_tokens,
        )
        room = WaitingRoom[SlotAnswer](settings.max_waiting)
        self._loop = Loop(checkpoint, settings, room, self.stats)
        self._intake = Intake(room, self.stats, self._read)
        self._thread = threading.Thread(target=self._loop.run, name="gyre-loop", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, weights: Path, settings: EngineSettings) -> TorchEngine:
        return cls(load(weights, settings), settings)

    def submit(self, request: GenerationRequest, caller: Caller) -> None:
        self._intake.submit(request, caller)

    def levels(self) -> Levels:
        return self._loop.levels(up=self._thread.is_alive())

    def close(self) -> None:
        self._intake.close()
        self._loop.stop()
        self._thread.join()

    def _read(self, request: GenerationRequest, caller: Caller, arrival: int) -> SlotAnswer:
        prompt, most = self._prompts.read(request)
        return SlotAnswer(
            request=request,
            caller=caller,
            arrival=arrival,
            prompt=prompt,
            max_tokens=most,
            sampler=RowSampler(request.sampling, prompt),
            text=self._prompts.text(request),
            guide=self._guides.compile(request.guide) if request.guide else None,
        )
