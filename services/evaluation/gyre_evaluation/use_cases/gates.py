"""Policies and gates as callers see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gyre_evaluation.domain.datasets import DatasetVersion, refuse_bad_name
from gyre_evaluation.domain.errors import DatasetNotReady, GateNotPassed, RequestInvalid
from gyre_evaluation.domain.gates.awaited import SEARCH
from gyre_evaluation.domain.gates.checks import GateVerdict
from gyre_evaluation.domain.gates.gate import (
    Approval,
    Declared,
    Gate,
    GateState,
    refuse_for_searches,
)
from gyre_evaluation.domain.gates.policy import Fixed, Policy, Safety
from gyre_evaluation.domain.gates.report import gate_report_of
from gyre_evaluation.domain.runs import Kind
from gyre_evaluation.ports import Datasets, Gates, ReportPages, Runs
from gyre_evaluation.use_cases.runs import refuse_unjudging

WATCH_PAUSE = 0.3
LONGEST_REASON = 4096


class KeepGates:
    """Every method raises `RequestInvalid`, `GateUnknown`, `PolicyUnknown`.

    call: wakes whoever works on gates. known: names of metrics that may be asked for.
    """

    def __init__(
        self,
        gates: Gates,
        runs: Runs,
        datasets: Datasets,
        pages: ReportPages,
        *,
        known: Callable[[], Collection[str]],
        call: Callable[[], None],
    ) -> None:
        self._gates = gates
        self._runs = runs
        self._datasets = datasets
        self._pages = pages
        self._known = known
        self._call = call

    async def declare(self, declared: Declared, *, dry_run: bool) -> tuple[Declared, bool]:
        """The version, and whether it is new. Raises `DatasetUnknown`, `DatasetNotReady`."""
        policy = declared.policy
        refuse_bad_name(policy.workload)
        if unknown := sorted(set(metrics_of(policy)) - set(self._known())):
            raise RequestInvalid({"metrics": f"unknown: {', '.join(unknown)}"})
        if policy.workload == SEARCH:
            refuse_for_searches(policy)
            refuse_unjudging(tuple(metrics_of(policy)), Kind.SEARCH)
        parts: list[Fixed | Safety] = [policy.fixed, *policy.safety]
        for part in parts:
            version = await self._datasets.get(declared.tenant, part.dataset, part.version)
            _refuse_unready(version, part.split)
        return (declared, True) if dry_run else await self._gates.declare(declared)

    async def policy(self, tenant: str, workload: str, version: int) -> Declared:
        return await self._gates.declared(tenant, workload, version)

    async def start(
        self, tenant: str, workload: str, made: Callable[[Declared], Gate], creation_key: str
    ) -> Gate:
        """made: the gate under the policy in force."""
        declared = await self._gates.declared(tenant, workload, 0)
        started = await self._gates.start(made(declared), creation_key)
        self._call()
        return started

    async def get(self, tenant: str, gate_id: str) -> Gate:
        """With how far its runs are."""
        gate = await self._gates.get(tenant, gate_id)
        run_ids = [one for part in gate.parts for one in part.run_ids]
        runs = [await self._runs.get(tenant, one) for one in run_ids]
        return replace(
            gate, examples=sum(one.examples for one in runs), done=sum(one.done for one in runs)
        )

    async def page(self, tenant: str, workload: str, limit: int, before: str) -> list[Gate]:
        return await self._gates.page(tenant, workload, limit=limit, before=before)

    async def watch(self, tenant: str, gate_id: str) -> AsyncIterator[Gate]:
        """The gate now, and after each change until it ends."""
        last: Gate | None = None
        while last is None or not last.state.ended:
            gate = await self.get(tenant, gate_id)
            if gate != last:
                yield gate
                last = gate
            else:
                await asyncio.sleep(WATCH_PAUSE)

    async def cancel(self, tenant: str, gate_id: str) -> Gate:
        """Its runs, too; one that was decided stays as it is."""
        gate = await self._gates.get(tenant, gate_id)
        if await self._gates.cancel(tenant, gate_id):
            for part in gate.parts:
                for run_id in part.run_ids:
                    await self._runs.cancel(tenant, run_id)
        return await self.get(tenant, gate_id)

    async def approve(
        self, tenant: str, gate_id: str, who: str, *, granted: bool, reason: str
    ) -> Gate:
        """Raises `GateNotPassed`: a person's yes does not replace evidence."""
        if not 1 <= len(reason.strip()) <= LONGEST_REASON:
            raise RequestInvalid({"reason": f"say why, in 1 to {LONGEST_REASON} characters"})
        gate = await self._gates.get(tenant, gate_id)
        if gate.verdict is not GateVerdict.PASS:
            came = gate.verdict.value if gate.verdict else gate.state.value
            raise GateNotPassed(f"gate {gate_id} is {came}: only one that passed can be approved")
        word = Approval(who, datetime.now(UTC), granted, reason.strip())
        return await self._gates.approve(gate, word)

    async def report(self, tenant: str, gate_id: str) -> dict[str, Any]:
        """Raises `GateNotPassed` until it was decided."""
        gate = await self.get(tenant, gate_id)
        if gate.state is not GateState.DECIDED:
            raise GateNotPassed(f"gate {gate_id} is {gate.state.value}: it has no report")
        return gate_report_of(gate)

    async def page_of(self, report: Mapping[str, Any]) -> bytes:
        return await self._pages.page(report)


def metrics_of(policy: Policy) -> Iterator[str]:
    """Every metric that it names."""
    yield from policy.fixed.bars
    yield from (one.metric for one in policy.fixed.regressions)
    yield from policy.fresh.bars if policy.fresh else ()
    for suite in policy.safety:
        yield from suite.metrics


def _refuse_unready(version: DatasetVersion, split: str) -> None:
    if not version.sealed:
        raise DatasetNotReady(f"{version.name}@{version.version} is open: seal it first")
    if split and split not in version.splits:
        have = ", ".join(sorted(version.splits))
        raise RequestInvalid({"split": f"{version.name} has {have}"})
