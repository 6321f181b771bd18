"""What evaluation says of a candidate; the driver acts on it."""

from __future__ import annotations

from gyre_inference.domain.gates import Approval, Decision
from gyre_inference.domain.rollouts import PREFIX
from gyre_inference.ports import Rollouts


class HearGates:
    """Only of rollouts: others that wait for a gate hear of it themselves. Verdict and approval
    may come in any order, again, and before the rollout waits for them."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    async def said(self, tenant: str, cause: str, said: Decision | Approval) -> None:
        """cause: what waits for the gate; empty where a person asked."""
        if cause.startswith(PREFIX):
            await self._rollouts.gate_said(tenant, cause, said)
