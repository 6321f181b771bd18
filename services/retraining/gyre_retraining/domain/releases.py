"""Which version of a model is in use, told from every release that was heard of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

START = ""


@dataclass(frozen=True, slots=True)
class Release:
    """One way of a version to its users: a rollout, or a reindexing of one collection.

    cause: its id; `START` is the champion that there was before any release. version: 0 where
    there was none. moment: of its last change, seconds since 1970 (UTC). in_use: whether that
    change put it in use; False for one that was taken back, or never got there.
    """

    tenant: str
    name: str
    cause: str
    version: int
    moment: float
    in_use: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """champion, previous: versions, 0 for none. tried: no candidates any more."""

    champion: int
    previous: int
    tried: frozenset[int]


def standing(releases: Iterable[Release]) -> Standing:
    """Of one name. The same whatever the order in which the releases were heard of: the version
    that came into use last is the champion, the one before it the previous one. One that was taken
    back leaves the place to whoever had it."""
    known = list(releases)
    in_use = sorted(
        (one for one in known if one.in_use and one.version),
        key=lambda one: (one.moment, one.cause),
        reverse=True,
    )
    order = list(dict.fromkeys(one.version for one in in_use))
    champion, previous = (*order, 0, 0)[:2]
    tried = frozenset(one.version for one in known if one.cause != START and one.version)
    return Standing(champion, previous, tried)


def model_of(reference: str) -> tuple[str, int] | None:
    """Name and version of `NAME/VERSION`; None for anything else."""
    name, _, version = reference.rpartition("/")
    if not name or not (version.isascii() and version.isdecimal()) or len(version) > 9:
        return None
    return (name, int(version)) if int(version) else None
