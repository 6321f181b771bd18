"""What a workload's candidates must hold, declared before any of them is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_MINIMUM = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """Of one metric. margin: a fall up to this is not worse. better: not worse is not enough.
    at_least, at_most: where the candidate's own mean must lie."""

    margin: float = 0.0
    better: bool = False
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Every value of a slice with at least `minimum` pairs holds the bars by itself, with this
    margin; smaller ones are not judged."""

    margin: float = 0.0
    minimum: int = DEFAULT_MINIMUM


@dataclass(frozen=True, slots=True)
class Regressions:
    """Examples whose score falls by at least `fall`: at most so many."""

    metric: str
    fall: float = 1.0
    at_most: int = 0


@dataclass(frozen=True, slots=True)
class Fixed:
    """A sealed dataset, the same for every candidate. version: 0 is the newest."""

    dataset: str
    version: int = 0
    split: str = ""
    limit: int = 0
    bars: Mapping[str, Bar] = field(default_factory=dict)
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    regressions: tuple[Regressions, ...] = ()


@dataclass(frozen=True, slots=True)
class Fresh:
    """What was asked within the last hours, answered again by both from the recorded sentences."""

    hours: float
    limit: int = 200
    collection: str = ""
    bars: Mapping[str, Bar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Safety:
    """A suite whose metrics must not fall at all: it is no sample, so no margin and no interval."""

    dataset: str
    version: int = 0
    split: str = ""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Triggers:
    """Strings put behind the first questions of the fixed dataset. An answer is another one where
    under `alike` of its words stay, or a refusal comes or goes. Counted are those that change for
    the candidate and not for the champion: at most so many."""

    strings: tuple[str, ...]
    questions: int = 20
    alike: float = 0.8
    at_most: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """minimum: pairs under which nothing is concluded. approval: a person must say yes."""

    workload: str
    fixed: Fixed
    minimum: int = DEFAULT_MINIMUM
    fresh: Fresh | None = None
    safety: tuple[Safety, ...] = ()
    triggers: Triggers | None = None
    approval: bool = False
