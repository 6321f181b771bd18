"""Which revision of a judgement holds, and in which state, whatever the order they came in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from gyre_retraining.domain.sources import Judgement, Review, State, StateChange

Key = tuple[str, str]
"""Caller and feedback id."""


def settle(revisions: Iterable[Judgement], changes: Iterable[StateChange]) -> tuple[Judgement, ...]:
    """The newest revision of each judgement, with its state, in the order of their ids."""
    newest: dict[Key, Judgement] = {}
    for one in revisions:
        key = (one.principal, one.feedback_id)
        if key not in newest or newest[key].revision < one.revision:
            newest[key] = one
    heard: dict[Key, list[StateChange]] = defaultdict(list)
    for change in changes:
        heard[change.principal, change.feedback_id].append(change)
    return tuple(
        replace(newest[key], state=_state(newest[key], heard[key])) for key in sorted(newest)
    )


def latest(reviews: Iterable[Review]) -> tuple[Review, ...]:
    """The last word of each reviewer on each item, in the order of their ids."""
    said: dict[tuple[str, str], Review] = {}
    for one in reviews:
        key = (one.item_id, one.reviewer)
        if key not in said or said[key].time < one.time:
            said[key] = one
    return tuple(said[key] for key in sorted(said))


def _state(judgement: Judgement, changes: list[StateChange]) -> State:
    newer = [one for one in changes if one.revision >= judgement.revision]
    if not newer:
        return State.RECORDED
    top = max(one.revision for one in newer)
    state = max(one.state for one in newer if one.revision == top)
    # What was released is a revision whose words were never heard: the older ones do not hold.
    return State.DROPPED if state.counts and top > judgement.revision else state
