"""Which passages share a batch, and which vectors may leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from gyre_embedding.domain.passages import choose_batch
from gyre_embedding.domain.vectors import UnusableVector, checked
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Passage:
    length: int
    place: int


@given(st.lists(st.integers(1, 256), min_size=1, max_size=60), st.integers(1, 16))
def test_the_oldest_is_always_in_the_batch_and_none_is_taken_twice(lengths, size):
    waiting = [Passage(length, place) for place, length in enumerate(lengths)]
    batch = choose_batch(waiting, size)
    assert waiting[0] in batch
    assert len(set(batch)) == len(batch) == min(size, len(waiting))


def test_a_batch_holds_the_passages_nearest_in_length_to_the_oldest():
    waiting = [Passage(length, place) for place, length in enumerate([100, 9, 240, 104, 97, 12])]
    assert sorted(passage.length for passage in choose_batch(waiting, 3)) == [97, 100, 104]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_never_leaves(bad):
    vectors = np.ones((2, 4), dtype=np.float32)
    vectors[1, 2] = bad
    with pytest.raises(UnusableVector, match="NaN"):
        checked(vectors, 2, 4)


def test_a_zero_vector_never_leaves():
    with pytest.raises(UnusableVector, match="zero"):
        checked(np.zeros((1, 4), dtype=np.float32), 1, 4)


def test_a_wrong_shape_never_leaves():
    with pytest.raises(UnusableVector, match="expected 2 x 4"):
        checked(np.ones((2, 3), dtype=np.float32), 2, 4)


def test_what_leaves_has_unit_length():
    vectors = checked(np.array([[3.0, 4.0]], dtype=np.float32), 1, 2)
    assert np.allclose(vectors, [[0.6, 0.8]])
