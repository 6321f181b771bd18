"""Vectors that may enter the index: finite, of the right dimension, of unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gyre_retrieval.domain.errors import PartRefused

Vector = NDArray[np.float32]

UNIT_TOLERANCE = 1e-2


def vector_from(data: bytes, dimension: int) -> Vector:
    """Little-endian float32 bytes to a unit vector, or `PartRefused`.

    One NaN or zero vector in the index spoils every search, and Milvus Lite takes it in.
    """
    if len(data) != 4 * dimension or dimension < 1:
        raise PartRefused(
            "wrong_dimension", f"a vector of {dimension} numbers has {len(data)} bytes"
        )
    vector = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise PartRefused("vector_not_finite", "a vector holds NaN or infinity")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if abs(length - 1.0) > UNIT_TOLERANCE:
        raise PartRefused("vector_not_unit", f"a vector's length is {length:.4f}, not 1")
    return vector
