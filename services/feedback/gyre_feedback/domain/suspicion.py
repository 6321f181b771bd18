"""What makes a judgement suspicious. Suspicion costs it its effect until a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

HOUR = 3600.0


class Suspicion(StrEnum):
    """A word that can be counted."""

    RATE = "rate"
    DUPLICATE = "duplicate"
    COLLUSION = "collusion"


@dataclass
class Account:
    """first_time: when it was first seen (0: vouched for). Judgements are counted by the hour."""

    first_time: float
    hour: int = 0
    count: int = 0

    def over(self, moment: float, rate: int) -> bool:
        """Counts one judgement at `moment`; whether it is one too many."""
        hour = int(moment // HOUR)
        if hour > self.hour:
            self.hour, self.count = hour, 0
        self.count += 1
        return self.count > rate


@dataclass(frozen=True)
class Recent:
    """Accounts that judged one thing within the window: all, and the young ones by side."""

    accounts: int = 0
    young_bad: int = 0
    young_good: int = 0


@dataclass(frozen=True)
class Watchfulness:
    """young_age: seconds for which an account is young. account_rate: judgements an hour of one
    account. flood_size: equal judgements of so many young accounts on one thing, within
    flood_window seconds, are a flood where they are flood_share of all there."""

    young_age: float = 7 * 86_400.0
    account_rate: int = 60
    flood_size: int = 30
    flood_share: float = 0.9
    flood_window: float = 600.0

    def flooded(self, recent: Recent) -> bool | None:
        """Which side (True: good) young accounts flood; None where they do not."""
        for good, count in ((False, recent.young_bad), (True, recent.young_good)):
            if count >= self.flood_size and count >= self.flood_share * recent.accounts:
                return good
        return None

    def detail(self, suspicion: Suspicion) -> str:
        """A sentence for people."""
        return self._details()[suspicion]

    def _details(self) -> Mapping[Suspicion, str]:
        return {
            Suspicion.RATE: f"the account judged more than {self.account_rate} times in an hour",
            Suspicion.DUPLICATE: "the account judged the same before, under another id",
            Suspicion.COLLUSION: (
                f"one of {self.flood_size} or more equal judgements of young accounts within "
                f"{self.flood_window:g} s"
            ),
        }
