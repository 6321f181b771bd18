"""People's judgements among the live scores: edits, withdrawals and quarantines in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Judgement:
    """What counts of one judgement. score: None until it is known. revision: the highest seen.
    barred: withdrawn, quarantined or dropped; a later revision or a release lifts it."""

    score: float | None = None
    revision: int = 0
    barred: bool = False

    @property
    def counted(self) -> float | None:
        """What is in the windows."""
        return None if self.barred else self.score

    def recorded(self, score: float, revision: int) -> Judgement:
        """An edit counts anew; a repetition of the revision known changes nothing."""
        if revision < self.revision:
            return self
        if revision == self.revision:
            return replace(self, score=score if self.score is None else self.score)
        return Judgement(score, revision)

    def bar(self, revision: int, *, barred: bool) -> Judgement:
        """Withdrawn or quarantined (barred), or released; what is older than an edit is stale."""
        if revision < self.revision:
            return self
        score = self.score if revision == self.revision else None  # an edit's comes with its record
        return Judgement(score, revision, barred)
