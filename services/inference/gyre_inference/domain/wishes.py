"""A trained model that waits for its rollout."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from gyre_inference.domain.rollouts import Plan, Rollout, RolloutKind, rollout_id_of

_LONGEST = 63  # of a name on the model server
_PLACE = 3  # of a version's folder in the model store: tenant, name, key


@dataclass(frozen=True)
class TrainedModel:
    """A new version in the model registry. content_hash: of its files. uri: of its folder."""

    name: str
    version: int
    uri: str
    content_hash: str
    training_id: str
    made: datetime


@dataclass(frozen=True)
class Wish:
    """A rollout that shall start as soon as its place is free. made: of two for one name the
    later one counts."""

    tenant: str
    name: str
    candidate: str
    model_uri: str
    model: str
    training_id: str
    made: datetime

    @property
    def creation_key(self) -> str:
        """A training rolls its model out once."""
        return f"trained/{self.training_id}"

    def rollout(self, champion: str, plan: Plan, now: datetime) -> Rollout:
        """How it starts. champion: in use until then."""
        return Rollout(
            rollout_id=rollout_id_of(self.tenant, self.creation_key),
            tenant=self.tenant,
            kind=RolloutKind.MODEL,
            name=self.name,
            champion=champion,
            candidate=self.candidate,
            start=now,
            model_uri=self.model_uri,
            plan=plan,
            message=f"trained by {self.training_id}",
            attended=plan.attended,
            model=self.model,
            creation_key=self.creation_key,
        )


def wish_for(tenant: str, trained: TrainedModel) -> Wish:
    """The candidate's name holds a piece of the content's hash, because names on the model server
    never change their content, and every tenant's versions are counted from 1."""
    tail = f"-v{trained.version}-{trained.content_hash[:8]}"
    head = f"llm-{trained.name}"[: _LONGEST - len(tail)]
    return Wish(
        tenant=tenant,
        name=trained.name,
        candidate=f"{head}{tail}",
        model_uri=_below_the_store(trained.uri),
        model=f"{trained.name}/{trained.version}",
        training_id=trained.training_id,
        made=trained.made,
    )


def _below_the_store(uri: str) -> str:
    """The store may lie elsewhere on this machine: its last folders are the same."""
    return "/".join(PurePosixPath(uri.removeprefix("file://")).parts[-_PLACE:])
