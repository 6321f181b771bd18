"""What is known of a rollout now."""

from __future__ import annotations

from dataclasses import replace

from gyre_inference.domain.rollouts import Evidence, Rollout, RolloutState
from gyre_inference.domain.verdicts import compared, judged, slow_after
from gyre_inference.ports import Rollouts


async def evidence_of(rollouts: Rollouts, rollout: Rollout) -> Evidence | None:
    """None where nothing is measured."""
    if rollout.state is RolloutState.SHADOW:
        return compared(rollout, await rollouts.pairs(rollout.tenant, rollout.rollout_id))
    if rollout.state is RolloutState.CANARY:
        place = rollout.tenant, rollout.rollout_id, rollout.step
        told = await rollouts.sums(*place)
        return judged(rollout, told, await rollouts.sums(*place, doubted=False))
    return None


async def timed(rollouts: Rollouts, rollout: Rollout) -> Rollout:
    """With what is in time from the canary on, as the answers before it took."""
    if rollout.state is not RolloutState.SHADOW:
        return rollout
    known = await rollouts.seconds(rollout.tenant, rollout.rollout_id)
    return replace(rollout, slow_after=slow_after(known))
