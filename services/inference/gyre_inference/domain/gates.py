"""What evaluation's gate says of a candidate, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

_PASS = "pass"
_MOST = 900
"""Characters of a reason that a transition keeps."""


@dataclass(frozen=True)
class Decision:
    """The verdict: `pass`, `fail` or `insufficient`. reasons: one for each check that does not
    hold."""

    gate_id: str
    verdict: str
    reasons: tuple[str, ...] = ()
    needs_approval: bool = False


@dataclass(frozen=True)
class Approval:
    """A person's yes or no to a gate that passed."""

    gate_id: str
    granted: bool
    principal: str
    reason: str
    time: datetime


@dataclass(frozen=True)
class GateWord:
    """What was heard of one rollout's gate so far, in whatever order it came."""

    decision: Decision | None = None
    approval: Approval | None = None

    def after(self, said: Decision | Approval) -> GateWord:
        """The first verdict and the last approval count, however often they are heard."""
        if isinstance(said, Decision):
            return replace(self, decision=self.decision or said)
        stale = self.approval is not None and self.approval.time >= said.time
        return self if stale else replace(self, approval=said)

    @property
    def gate_id(self) -> str:
        """Empty before the verdict, and where no gate could be begun."""
        return self.decision.gate_id if self.decision else ""

    @property
    def opens(self) -> bool | None:
        """Whether the candidate goes on; None while that is not known."""
        if self.decision is None:
            return None
        if self.decision.verdict != _PASS:
            return False
        if not self.decision.needs_approval:
            return True
        return self._approved.granted if self._approved else None

    @property
    def told(self) -> str:
        """Why, for people."""
        if self.decision is None:
            return ""
        verdict, approved = self.decision.verdict, self._approved
        if verdict != _PASS:
            return _cut(f"the gate said {verdict}: {'; '.join(self.decision.reasons)}")
        if not self.decision.needs_approval or approved is None:
            return "the gate passed"
        said = "granted" if approved.granted else "refused"
        return _cut(f"the gate passed; {said} by {approved.principal}: {approved.reason}")

    @property
    def _approved(self) -> Approval | None:
        """Only what was said of this very gate."""
        same = self.approval is not None and self.approval.gate_id == self.gate_id
        return self.approval if same else None


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
