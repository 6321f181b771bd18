"""Runs of chains and HTTP tools in memory, for tests."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gyre_inference.domain.chain_runs import ChainRun, RunEnding, RunHeader, StepRecord
from gyre_inference.domain.faults import Conflict, Fault, NotFound
from gyre_inference.domain.record import AnswerRecord
from gyre_inference.ports import LEASE, HttpCall


@dataclass
class MemoryChainRuns:
    """See `ChainRuns`. said: records that became events."""

    runs: dict[tuple[str, str], ChainRun] = field(default_factory=dict)
    leases: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    said: list[AnswerRecord] = field(default_factory=list)
    touched: dict[tuple[str, str], float] = field(default_factory=dict)
    fault: Fault | None = None

    async def begin(self, tenant: str, header: RunHeader, holder: str) -> ChainRun:
        """See `ChainRuns`."""
        place = tenant, header.chain_run_id
        self.runs.setdefault(place, ChainRun(copy.deepcopy(header)))
        if not await self.renew(tenant, header.chain_run_id, holder):
            raise Conflict(f"the run {header.chain_run_id} goes on elsewhere")
        return self.runs[place]

    async def keep(
        self, tenant: str, chain_run_id: str, holder: str, place: int, step: StepRecord
    ) -> None:
        """See `ChainRuns`."""
        if self.fault:
            raise self.fault
        if not await self.renew(tenant, chain_run_id, holder):
            raise Conflict(f"the run {chain_run_id} goes on elsewhere")
        run = self.runs[tenant, chain_run_id]
        if step.step_id not in {one.step_id for one in run.steps}:
            kept = (*run.steps, copy.deepcopy(step))
            self.runs[tenant, chain_run_id] = replace(run, steps=kept)

    async def renew(self, tenant: str, chain_run_id: str, holder: str) -> bool:
        """See `ChainRuns`."""
        place, now = (tenant, chain_run_id), time.time()
        owner, until = self.leases.get(place, ("", 0.0))
        if owner != holder and until > now and self.runs[place].ending is None:
            return False
        self.leases[place] = holder, now + LEASE
        self.touched[place] = now
        return True

    async def release(self, tenant: str, chain_run_id: str, holder: str) -> None:
        """See `ChainRuns`."""
        if self.leases.get((tenant, chain_run_id), ("", 0.0))[0] == holder:
            del self.leases[tenant, chain_run_id]

    async def end(
        self, tenant: str, chain_run_id: str, ending: RunEnding, record: AnswerRecord | None
    ) -> None:
        """See `ChainRuns`."""
        run = self.runs[tenant, chain_run_id]
        if run.ending is None:
            self.runs[tenant, chain_run_id] = replace(run, ending=ending)
            self.said += [record] if record else []

    async def get(self, tenant: str, chain_run_id: str) -> ChainRun:
        """See `ChainRuns`."""
        if (tenant, chain_run_id) not in self.runs:
            raise NotFound(f"no run {chain_run_id!r}")
        return self.runs[tenant, chain_run_id]

    async def sweep(self, older: float) -> int:
        """See `ChainRuns`."""
        now = time.time()
        gone = [
            place
            for place, touched in self.touched.items()
            if touched < now - older and self.leases.get(place, ("", 0.0))[1] < now
        ]
        for place in gone:
            del self.runs[place], self.touched[place]
        return len(gone)


@dataclass
class MemoryHttpTools:
    """Answers what `reply` says after `pause` seconds; keeps what was called."""

    reply: Callable[[HttpCall], object] = lambda call: {"echo": call.body}
    calls: list[HttpCall] = field(default_factory=list)
    fault: Fault | None = None
    pause: float = 0.0

    async def call(self, call: HttpCall) -> dict[str, object]:
        """See `HttpTools`."""
        self.calls.append(call)
        await asyncio.sleep(self.pause)
        if self.fault:
            raise self.fault
        return {"status": 200, "body": self.reply(call)}
