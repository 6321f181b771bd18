"""Models that came into use, or were taken back, as releases."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.inference.v1.rollout_pb2 import Rollout
from gyre.retrieval.v1.events_pb2 import IndexSwitched

from gyre_retraining.domain.releases import Release, model_of


def rollout_release(tenant: str, rollout: Rollout, *, in_use: bool) -> Release | None:
    """None for what no training made: a prompt, or a model that is in no registry."""
    changed = rollout.changes[-1].change_time if rollout.changes else rollout.start_time
    return _release(tenant, rollout.model, rollout.rollout_id, changed, in_use)


def index_release(tenant: str, event: IndexSwitched) -> Release | None:
    """None for an index of a model that no training made."""
    return _release(tenant, event.model, event.reindex_id, event.switch_time, not event.back)


def _release(tenant: str, model: str, cause: str, time: Timestamp, in_use: bool) -> Release | None:
    found = model_of(model)
    if found is None or not cause:
        return None
    name, version = found
    return Release(tenant, name, cause[:128], version, time.seconds + time.nanos / 1e9, in_use)
