"""From a snapshot of sources to the rows of a dataset: the same in, the same out."""

from __future__ import annotations

from collections.abc import Sequence

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.filters import filter_rows
from gyre_retraining.domain.forms import rows_of
from gyre_retraining.domain.manifest import Assembly
from gyre_retraining.domain.scales import Scales
from gyre_retraining.domain.sifting import sift
from gyre_retraining.domain.sources import Snapshot
from gyre_retraining.domain.splits import split


def assemble(
    snapshot: Snapshot,
    settings: AssemblySettings,
    scales: Scales,
    sets: Sequence[EvaluationSet] = (),
) -> Assembly:
    """Sifts the sources, makes rows of what is left, filters these, and splits them."""
    used = {one.metric for one in snapshot.judgements}
    scales = {name: scale for name, scale in sorted(scales.items()) if name in used}
    evidence, left_out = sift(snapshot, settings, scales)
    rows, filtered = filter_rows(rows_of(evidence), settings, sets)
    return Assembly(
        tenant=snapshot.tenant,
        as_of=snapshot.as_of,
        settings=settings,
        splits=split(
            rows,
            share=settings.validation_share,
            near=settings.near,
            seed=settings.seed,
            slices=settings.slices,
        ),
        filters=(*left_out, *filtered),
        scales=scales,
        sets=tuple(sets) if settings.decontaminate else (),
    )
