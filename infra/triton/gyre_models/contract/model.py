"""What Triton calls, the same for all engines. Imported inside Triton only."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from gyre_models.contract import door
from gyre_models.contract.environment import ServerEnvironment
from gyre_models.contract.exporter import Exporter
from gyre_models.contract.intake import Engine
from gyre_models.contract.outcome import Emission
from gyre_models.contract.refusal import Refusal
from gyre_models.contract.sender import Sender
from gyre_models.contract.traces import Traces

SWITCH_S = 0.0005


class LanguageModel(ABC):
    """A decoupled model: `execute` only takes requests in, the engine's threads answer."""

    @abstractmethod
    def open(self, folder: Path) -> Engine:
        """Starts the engine from the files of the model's version folder."""

    def initialize(self, args: dict[str, str]) -> None:
        door.log_to_stderr()
        # The engine's thread gives the interpreter up in every operation; with Python's own 5 ms it
        # would wait for whole bursts of responses before it gets it back.
        sys.setswitchinterval(SWITCH_S)
        self._engine = self.open(Path(args["model_repository"], args["model_version"]))
        self._sender = Sender(door.deliver)
        self._traces = Traces(args["model_name"], ServerEnvironment.read().otlp_endpoint)
        self._exporter = Exporter(args["model_name"], self._engine.stats, self._engine.levels)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            given = door.Parameters(request)
            trace = self._traces.begin(given.traceparent)
            caller = door.TritonCaller(request, self._sender, trace)
            try:
                self._engine.submit(door.read(request, given), caller)
            except Refusal as refusal:
                self._engine.stats.refused(refusal.prefix.value)
                caller.send(Emission(refusal=refusal))

    def finalize(self) -> None:
        self._engine.close()
        self._sender.close()
        self._exporter.close()
        self._traces.close()
