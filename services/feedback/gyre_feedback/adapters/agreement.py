"""Krippendorff's alpha by the library of that name."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gyre_feedback.domain.reviews import Question


def krippendorff_alpha(table: Sequence[Sequence[float | None]], question: Question) -> float:
    """Ordinal. 1 where everybody always said the same, which leaves chance nothing to do."""
    import krippendorff  # brings numpy, which only this needs
    import numpy

    data = numpy.array([[math.nan if one is None else one for one in row] for row in table])
    said = data[~numpy.isnan(data)]
    if numpy.unique(said).size < 2:
        return 1.0
    domain = [float(rank) for rank in range(len(question.choices))]
    return float(
        krippendorff.alpha(
            reliability_data=data, level_of_measurement="ordinal", value_domain=domain
        )
    )
