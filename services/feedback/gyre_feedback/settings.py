"""Settings of the feedback service, read from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from gyre_runtime.settings import RuntimeSettings
from pydantic import Field, model_validator

from gyre_feedback.domain.reviews import QueueRules
from gyre_feedback.domain.scores import Protection
from gyre_feedback.domain.suspicion import Watchfulness
from gyre_feedback.use_cases.waiting import Patience

DAY = 86_400.0


class Settings(RuntimeSettings):
    """Times in seconds."""

    grpc_address: str = "127.0.0.1:50055"
    """Where RPCs are served."""
    metrics_port: int = 9105
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    database_url: str | None = "sqlite+aiosqlite:///var/feedback/feedback.db"
    """Judgements, scores and reviews."""

    answer_wait: float = Field(7 * DAY, gt=0)
    """How long a judgement waits for its answer before it goes to the dead letters."""
    answer_text_retention: float = Field(90 * DAY, gt=0)
    """How long an answer's question and text are kept for reviewers."""
    housekeeping_pause: float = 60.0
    """Time between two rounds that give up waiting and forget texts."""
    judgements_at_once: int = 200
    """Events handled side by side; their commits are shared."""

    score_cap: float = Field(0.05, gt=0, lt=1)
    """How far one account, or all young accounts together, may move a score (0 to 1)."""
    score_prior: float = Field(0.5, ge=0, le=1)
    """Where a score starts."""
    score_prior_votes: float = 20.0
    """How many votes the start weighs; at least 1 / score_cap - 1."""
    young_age: float = 7 * DAY
    """How long an account is young after its first judgement."""
    account_rate: int = 60
    """Judgements an hour of one account; more are quarantined."""
    flood_size: int = 30
    """Equal judgements of so many young accounts on one thing are a flood ..."""
    flood_share: float = Field(0.9, gt=0.5, le=1)
    """... where they are this share of all that it got ..."""
    flood_window: float = 600.0
    """... within this time; they are quarantined."""
    projection_pause: float = 0.5
    """Time between two batches that turn judgements into votes and scores."""

    review_low_score: float = 0.25
    """Goodness (0 to 1) at or under which an answer is reviewed."""
    review_metrics: frozenset[str] = frozenset(
        {"groundedness", "answer_relevance", "citation_precision", "citation_recall"}
    )
    """Automatic metrics whose low scores put an answer up for review; those of judges always do."""
    review_disagreement: float = 0.5
    """Distance of two judgements of an answer over which it is reviewed."""
    review_low_confidence: float = 0.1
    """Distance of a judge's score from 0.5 under which it was not sure."""
    review_sample: float = Field(0.01, ge=0, le=1)
    """Share of all answers that are reviewed by chance."""
    review_count: int = Field(2, ge=1)
    """Reviews that an item wants."""
    review_claim: float = 900.0
    """How long a claimed item is its reviewer's."""

    features: Literal["feast", "off"] = "feast"
    """`off`: features are queued, and read by nobody."""
    features_folder: Path = Path("var/feedback/features")
    """Where the registry, the history and the SQLite online store lie."""
    features_online: str = "sqlite"
    """Online store: `sqlite`, redis://host:port/0 or postgresql://user:password@host/database."""
    features_pause: float = 2.0
    """Time between two batches to the feature store."""
    features_timeout: float = 60.0
    """Longest answer of the feature store; its first one waits for its start."""

    @model_validator(mode="after")
    def _protects(self) -> Self:
        self.protection()
        return self

    def protection(self) -> Protection:
        """Raises ValueError where the prior is too light for the cap."""
        return Protection(self.score_cap, self.score_prior, self.score_prior_votes)

    def watchfulness(self) -> Watchfulness:
        return Watchfulness(
            self.young_age,
            self.account_rate,
            self.flood_size,
            self.flood_share,
            self.flood_window,
        )

    def queue_rules(self) -> QueueRules:
        return QueueRules(
            self.review_low_score,
            self.review_disagreement,
            self.review_low_confidence,
            self.review_sample,
            self.review_count,
            self.review_claim,
        )

    def patience(self) -> Patience:
        return Patience(self.answer_wait, self.answer_text_retention, self.housekeeping_pause)
