"""The protected score: one account, one vote, and young accounts together are few.

    score = (prior * prior_votes + old + s * young) / (prior_votes + n_old + s * n_young)
    s     = min(1, cap / (1 - cap) * (prior_votes + n_old) / n_young)

`old` and `young` are sums over accounts of each account's mean judgement (0 bad, 1 good). As an
account has one vote, it moves the score by at most 1 / (prior_votes + 1) <= cap; and as s keeps
the young ones' share of the weight at or under cap, all of them together move it by at most cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gyre_feedback.domain.answers import JudgedAnswer
from gyre_feedback.domain.metrics import Level

NAME_LIMIT = 256


class EntityKind(StrEnum):
    """What is scored."""

    PROMPT = "prompt"
    MODEL = "model"
    VARIANT = "variant"
    CHUNK = "chunk"
    DOCUMENT = "document"
    SEGMENT = "segment"


@dataclass(frozen=True, order=True)
class Entity:
    """One thing that is scored by one metric."""

    tenant: str
    kind: EntityKind
    entity_id: str
    metric: str


@dataclass(frozen=True)
class Tally:
    """Of what counts: judgements and their sum; accounts and the sum of their means."""

    judgements: int = 0
    total: float = 0.0
    old_accounts: int = 0
    old_votes: float = 0.0
    young_accounts: int = 0
    young_votes: float = 0.0


@dataclass(frozen=True)
class Score:
    """score: protected. mean: plain. votes: weight behind the score. young: of the accounts."""

    score: float
    mean: float
    judgements: int
    accounts: int
    young_accounts: int
    votes: float


@dataclass(frozen=True)
class Protection:
    """cap: how far one account, or all young ones, may move a score. prior: where it starts.
    prior_votes: how many votes the start weighs."""

    cap: float = 0.05
    prior: float = 0.5
    prior_votes: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.cap < 1 or 1 / (self.prior_votes + 1) > self.cap:
            raise ValueError(f"with a cap of {self.cap} the prior must weigh 1/cap - 1 votes")

    def score(self, tally: Tally) -> Score:
        """By the formula above."""
        base = self.prior_votes + tally.old_accounts
        room = self.cap / (1 - self.cap) * base
        share = min(1.0, room / tally.young_accounts) if tally.young_accounts else 0.0
        votes = tally.old_accounts + share * tally.young_accounts
        good = self.prior * self.prior_votes + tally.old_votes + share * tally.young_votes
        return Score(
            score=good / (self.prior_votes + votes),
            mean=tally.total / tally.judgements if tally.judgements else self.prior,
            judgements=tally.judgements,
            accounts=tally.old_accounts + tally.young_accounts,
            young_accounts=tally.young_accounts,
            votes=votes,
        )


def entities_of(
    tenant: str, metric: str, level: Level, chunk_id: str, answer: JudgedAnswer
) -> list[Entity]:
    """What a judgement counts for. One of a passage says nothing of the prompt; one of a step
    says nothing of the whole."""
    if level is Level.STEP:
        return []
    if level is Level.CHUNK:
        named = {
            EntityKind.CHUNK: chunk_id,
            EntityKind.DOCUMENT: answer.chunks.get(chunk_id, ""),
        }
    else:
        named = {
            EntityKind.PROMPT: answer.prompt,
            EntityKind.MODEL: _pair(answer.model, answer.model_version),
            EntityKind.VARIANT: _pair(answer.experiment, answer.variant),
            EntityKind.SEGMENT: answer.segment,
        }
    return [Entity(tenant, kind, name[:NAME_LIMIT], metric) for kind, name in named.items() if name]


def _pair(name: str, version: str) -> str:
    return f"{name}/{version}" if name else ""
