"""A dataset's record: its hash names the dataset, so it holds nothing that chance decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gyre_retraining.domain.assembly import VERSION, AssemblySettings
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.rows import Row, Source, digest
from gyre_retraining.domain.scales import Scales
from gyre_retraining.domain.sifting import FilterCount


@dataclass(frozen=True, slots=True)
class Assembly:
    """A dataset before it is written. splits: rows in the order of their ids. scales: of metrics
    that the sources hold. features: row id -> column -> value, as far as it was known."""

    tenant: str
    as_of: float
    settings: AssemblySettings
    splits: Mapping[str, Sequence[Row]]
    filters: Sequence[FilterCount]
    scales: Scales
    sets: Sequence[EvaluationSet] = ()
    features: Mapping[str, Mapping[str, float]] | None = None

    @property
    def rows(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.splits.items()}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Of a file of the dataset."""

    sha256: str
    size_bytes: int


def manifest_of(assembly: Assembly, files: Mapping[str, FileFacts]) -> dict[str, Any]:
    """Everything that made the dataset, and what came of it; without times but `as_of`."""
    rows = [row for split in assembly.splits.values() for row in split]
    return {
        "version": VERSION,
        "tenant": assembly.tenant,
        "form": assembly.settings.form,
        "as_of": assembly.as_of,
        "settings": assembly.settings.as_json(),
        "scales": {name: asdict(assembly.scales[name]) for name in sorted(assembly.scales)},
        "rows": assembly.rows,
        "filters": [{"filter": one.filter, "rows": one.rows} for one in assembly.filters],
        "slices": slice_counts(rows, assembly.settings.slices),
        "sources": source_counts(rows),
        "evaluation_sets": sorted(
            [one.name, one.version, one.content_hash or _content(one)] for one in assembly.sets
        ),
        "features": sorted({name for one in (assembly.features or {}).values() for name in one}),
        "files": {
            name: {"sha256": one.sha256, "size_bytes": one.size_bytes}
            for name, one in files.items()
        },
    }


def dataset_id(manifest: Mapping[str, Any]) -> str:
    return digest(manifest)


def lineage_of(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Row id, kind and id of every source of every row, in order."""
    return sorted((row.row_id, kind, name) for row in rows for kind, name in row.sources)


def slice_counts(rows: Sequence[Row], names: Sequence[str]) -> dict[str, int]:
    """`language=de` -> rows; rows without a value count for none."""
    counted = Counter(
        f"{name}={row.slices[name]}" for row in rows for name in names if row.slices.get(name)
    )
    return dict(sorted(counted.items()))


def source_counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many different sources of each kind."""
    sources: set[Source] = {source for row in rows for source in row.sources}
    return dict(sorted(Counter(kind for kind, _ in sources).items()))


def _content(one: EvaluationSet) -> str:
    """Stands for a set that is open still and may change."""
    return digest([sorted(one.questions), sorted(one.references)])
