"""Gates that nobody asked for by hand: a rollout or a reindexing waits for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import uuid_utils

from gyre_evaluation.domain.errors import PolicyUnknown, RequestInvalid
from gyre_evaluation.domain.gates.awaited import Awaited
from gyre_evaluation.domain.gates.gate import Gate
from gyre_evaluation.ports import Gates
from gyre_evaluation.use_cases.gates import KeepGates


class AwaitGates:
    """Every method may be repeated. call: wakes whoever works on gates."""

    def __init__(self, gates: Gates, keeping: KeepGates, *, call: Callable[[], None]) -> None:
        self._gates = gates
        self._keeping = keeping
        self._call = call

    async def start(self, awaited: Awaited) -> None:
        """Without a policy there is no gate; what waits is told so."""
        try:
            declared = await self._gates.declared(awaited.tenant, awaited.workload, 0)
            gate = Gate(
                gate_id=str(uuid_utils.uuid7()),
                tenant=awaited.tenant,
                author="",
                declared=declared,
                candidate=awaited.candidate,
                champion=awaited.champion,
                create_time=datetime.now(UTC),
                label=awaited.label,
                cause=awaited.cause,
            )
        except PolicyUnknown:
            await self._gates.refuse(awaited, undeclared(awaited.workload))
        except RequestInvalid as error:
            await self._gates.refuse(awaited, str(error))
        else:
            await self._gates.start(gate, awaited.creation_key)
            self._call()

    async def stop(self, tenant: str, creation_key: str) -> None:
        """Nothing waits any more; a gate that was decided stays as it is."""
        gate = await self._gates.made_by(tenant, creation_key)
        if gate is not None and not gate.state.ended:
            await self._keeping.cancel(tenant, gate.gate_id)


def undeclared(workload: str) -> str:
    """What is missing, and what to do."""
    return f"no policy for the workload {workload} is declared: gyre gate declare"
