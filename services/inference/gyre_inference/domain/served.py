"""Which models the model server has to have because of rollouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gyre_inference.domain.rollouts import Rollout, RolloutKind, RolloutState, base_of

_UNLOADED = (RolloutState.REQUESTED, RolloutState.LOADING)


@dataclass(frozen=True)
class ServedModels:
    """Names on the model server. known: candidates of all time. wanted: what answers, may answer,
    or is kept. ready: those of `wanted` that were loaded once, and have to be there. places: where
    in the model store those of `ready` lie that a rollout put on the server."""

    known: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)


def served_models(
    rollouts: Sequence[Rollout], champions: Iterable[str], now: datetime, drain: float
) -> ServedModels:
    """champions: in force for any tenant. drain: seconds for which a candidate that was taken back
    stays, because other processes may send it requests for a moment."""
    models = [one for one in rollouts if one.kind is RolloutKind.MODEL]
    named = {base_of(release) for release in champions}
    on_the_way = {one.candidate for one in models if not one.is_over}
    loaded = {one.candidate for one in models if not one.is_over and one.state not in _UNLOADED}
    kept = {one.champion for one in models if _keeps_champion(one, now)}
    draining = {one.candidate for one in models if _drains(one, now, drain)}
    ready = frozenset(named | set(map(base_of, loaded)))
    placed = sorted((one for one in models if one.model_uri), key=lambda one: one.start)
    places = {base_of(one.candidate): one.model_uri for one in placed}
    return ServedModels(
        known=frozenset(base_of(one.candidate) for one in models),
        wanted=frozenset(named | set(map(base_of, on_the_way | kept | draining))),
        ready=ready,
        places={name: uri for name, uri in places.items() if name in ready},
    )


def _keeps_champion(rollout: Rollout, now: datetime) -> bool:
    return not rollout.is_over or (
        rollout.state is RolloutState.PROMOTED and rollout.keeps_champion(now)
    )


def _drains(rollout: Rollout, now: datetime, drain: float) -> bool:
    gone = rollout.state is RolloutState.ROLLED_BACK
    return gone and rollout.since + timedelta(seconds=drain) > now
