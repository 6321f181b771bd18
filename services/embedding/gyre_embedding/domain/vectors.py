"""No vector leaves that would pollute a search: NaN, infinite and zero are refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class UnusableVector(ValueError):
    """The model made a vector that no search may see."""


def checked(vectors: NDArray[np.float32], rows: int, dimension: int) -> NDArray[np.float32]:
    """Returns `vectors` (rows x dimension) at unit length; raises UnusableVector for any other."""
    if vectors.shape != (rows, dimension):
        raise UnusableVector(f"expected {rows} x {dimension} numbers, got {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise UnusableVector("a vector holds NaN or infinity")
    if (lengths == 0).any():
        raise UnusableVector("a vector is zero")
    unit: NDArray[np.float32] = (vectors / lengths).astype("<f4")
    return unit
