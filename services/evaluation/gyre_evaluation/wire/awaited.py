"""What waits for a gate, as other services tell of it."""

from __future__ import annotations

from gyre.inference.v1 import rollout_pb2
from gyre.retrieval.v1 import events_pb2

from gyre_evaluation.domain.gates.awaited import SEARCH, Awaited
from gyre_evaluation.domain.runs import Kind, Target

# A chain's candidates cannot be asked by themselves; what is answered in its place says as much.
KINDS = {"generate": Kind.GENERATE}


def rollout_key(rollout_id: str) -> str:
    return f"rollout/{rollout_id}"


def of_rollout(rollout: rollout_pb2.Rollout, tenant: str) -> Awaited:
    """Raises `RequestInvalid`."""
    return Awaited(
        tenant=tenant,
        workload=rollout.workload,
        candidate=_side(rollout, rollout.candidate),
        champion=_side(rollout, rollout.champion),
        cause=rollout.rollout_id,
        creation_key=rollout_key(rollout.rollout_id),
        label=f"rollout of {rollout.candidate} as {rollout.name}",
    )


def _side(rollout: rollout_pb2.Rollout, named: str) -> Target:
    kind = KINDS.get(rollout.workload, Kind.ANSWER)
    if rollout.kind == rollout_pb2.ROLLOUT_KIND_PROMPT:
        return Target(kind, prompt_name=rollout.name, prompt_version=named)
    return Target(kind, model=named)


def of_index(event: events_pb2.IndexBuilt, tenant: str) -> Awaited:
    return Awaited(
        tenant=tenant,
        workload=SEARCH,
        candidate=Target(Kind.SEARCH, collection=event.collection, index=event.index.name),
        champion=Target(Kind.SEARCH, collection=event.collection, index=event.previous.name),
        cause=event.reindex_id,
        creation_key=f"reindex/{event.reindex_id}",
        label=f"index of {event.index.embedder} for {event.collection}",
    )
