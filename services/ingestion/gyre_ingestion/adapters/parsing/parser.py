"""Parses files in processes that can be killed, so that no file can harm the service."""

import json
import logging
from dataclasses import asdict

from gyre_ingestion.adapters.parsing import wire
from gyre_ingestion.adapters.processes.limited import ask_within_limits, too_much
from gyre_ingestion.adapters.processes.pool import WorkerPool
from gyre_ingestion.adapters.processes.worker import Recipe, WorkerDied
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import ParsedDocument, Rejected, RejectionReason

_WORKER = "gyre_ingestion.adapters.parsing.worker"
_JOB = "Reading the file"

_log = logging.getLogger(__name__)


class SubprocessParser:
    """A `Parser` with `workers` processes, started when they are needed."""

    def __init__(self, limits: Limits | None = None, workers: int = 2) -> None:
        self._limits = limits or Limits()
        told = json.dumps(asdict(self._limits))
        recipe = Recipe(_WORKER, self._limits.memory_bytes, self._limits.seconds, told)
        self._pool = WorkerPool(recipe, workers)

    async def parse(self, content: bytes, name: str) -> ParsedDocument:
        """The file's blocks, title and language; raises `Rejected` with the true reason."""
        if len(content) > self._limits.file_bytes:
            raise too_much(f"The file is larger than {self._limits.file_bytes:,} bytes.")
        known_as = name.encode(errors="replace")
        try:
            answer = wire.decode(await ask_within_limits(self._pool, known_as, content, _JOB))
        except WorkerDied as death:
            _log.warning("the parser crashed on a document, code %d", death.code)
            detail = "The file is damaged: the parser crashed on it."
            raise Rejected(RejectionReason.CORRUPT, detail) from death
        if isinstance(answer, Rejected):
            raise answer
        return answer

    async def close(self) -> None:
        """Ends the workers."""
        await self._pool.close()
