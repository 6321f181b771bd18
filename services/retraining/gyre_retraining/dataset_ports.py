"""What the assembly of datasets needs from the world. A time: seconds since 1970 (UTC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.manifest import Assembly
from gyre_retraining.domain.scales import Scale
from gyre_retraining.domain.sources import (
    ChunkText,
    Judgement,
    RecordedAnswer,
    Review,
    Snapshot,
    StateChange,
)


class AssemblyUnavailable(Exception):
    """Another service, or the feature store, does not answer now; try again later."""


class DatasetDamaged(Exception):
    """Its files are not what its manifest says: it must not be trained on."""


class SourceStore(Protocol):
    """Answers, judgements, reviews and passages as they were heard, and since when.

    Every write may be repeated and may come in any order: the first of a key stays. Each write
    opens one transaction; in a handler it is the event's own, so the event is applied with it.
    """

    async def put_answer(self, tenant: str, answer: RecordedAnswer) -> None:
        """Keeps it, without content where its user or a document shown was erased before."""
        ...

    async def put_judgement(self, tenant: str, judgement: Judgement) -> None:
        """Keeps this revision; its answer may come later."""
        ...

    async def put_state(self, tenant: str, change: StateChange) -> None:
        """Keeps what became of a revision; the judgement itself may come later."""
        ...

    async def put_review(self, tenant: str, review: Review) -> None:
        """Keeps it; its answer may come later."""
        ...

    async def put_chunks(self, tenant: str, chunks: Sequence[ChunkText]) -> None:
        """Keeps passages, without text where their revision was erased before."""
        ...

    async def erase_user(self, tenant: str, end_user: str, moment: float) -> int:
        """Removes the content of the user's answers up to `moment`, and of what was said about
        them or by the user as a rater; how many answers. Those that arrive later follow."""
        ...

    async def erase_document(self, tenant: str, document_id: str, revision: int) -> int:
        """Removes the text of the document's passages up to `revision`, and messages, completion
        and corrections of answers that were shown one; how many passages and answers. Those
        that arrive later follow. The questions stay: they are not the document's."""
        ...

    async def snapshot(self, tenant: str, as_of: float) -> Snapshot:
        """What was known at `as_of`; the same again, but for erasures. `as_of` must lie some
        seconds back: what is being written at this moment is not seen."""
        ...


SetVersion = tuple[str, int]
"""Name and version of an evaluation set."""


class EvaluationSets(Protocol):
    """What models are examined with. Both raise `AssemblyUnavailable`: a dataset that was not
    decontaminated is never made by accident."""

    async def all(self, tenant: str) -> list[EvaluationSet]:
        """Every version of every set, by name and version: old ones are compared with, too."""
        ...

    async def named(self, tenant: str, versions: Sequence[SetVersion]) -> list[EvaluationSet]:
        """These, by name and version."""
        ...


class MetricScales(Protocol):
    """How declared metrics are read."""

    async def all(self, tenant: str) -> Mapping[str, Scale]:
        """By name. Raises `AssemblyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureAsked:
    """kind: `prompt`, `model`, `chunk`, ... entity_id: as features name it, e.g. `name/version`."""

    kind: str
    entity_id: str
    metric: str
    time: float


class FeatureHistory(Protocol):
    """What was known of things at a moment."""

    async def then(
        self, tenant: str, asked: Sequence[FeatureAsked]
    ) -> Sequence[Mapping[str, float]]:
        """Features by name, in the order asked for; nothing that became known later than its
        `time`, and empty where nothing was known. Raises `AssemblyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class KeptDataset:
    """folder: `manifest.json`, `train.parquet`, `validation.parquet`, `lineage.parquet`.
    create_time: when it was first written. erased: only the manifest is left."""

    dataset_id: str
    manifest: Mapping[str, Any]
    folder: Path
    create_time: datetime
    erased: bool = False

    @property
    def tenant(self) -> str:
        return str(self.manifest["tenant"])

    @property
    def rows(self) -> Mapping[str, int]:
        return dict(self.manifest["rows"])


class DatasetStore(Protocol):
    """Datasets, each written once and never changed."""

    async def keep(self, assembly: Assembly) -> KeptDataset:
        """Durable when it returns; the same assembly again gives the same dataset."""
        ...

    async def open(self, dataset_id: str) -> KeptDataset:
        """Raises `DatasetUnknown`, and `DatasetDamaged` where a hash is wrong."""
        ...

    async def erase(self, dataset_id: str) -> None:
        """Removes its rows, and what names their people; may be repeated. For datasets that hold
        what was erased since."""
        ...
