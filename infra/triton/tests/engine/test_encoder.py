"""The embedding engine without a server, on the exported model where it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gyre_models.openvino_engine.encoder import Encoder, compile_options
from gyre_models.openvino_engine.settings import EngineSettings

PLACES = ("Norway", "Chile", "the United States of America", "a country that nobody knows")
MODEL = Path(__file__).parents[4] / "var" / "models" / "all-minilm-l6-v2-openvino"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    if not MODEL.is_dir():
        pytest.skip(f"{MODEL} is absent: start the platform once, which exports it")
    return Encoder(MODEL, EngineSettings())


def test_vectors_come_in_the_order_of_the_texts_whatever_their_lengths(encoder: Encoder) -> None:
    texts = [f"Roaming costs {'a lot ' * length}in {length} countries." for length in (9, 0, 40, 3)]
    together = encoder.embed(texts)
    alone = np.vstack([encoder.embed([text]).vectors for text in texts])
    assert np.allclose(together.vectors, alone, atol=1e-5)
    assert np.argsort(together.token_counts).tolist() == [1, 3, 0, 2]


def test_a_text_over_the_limit_is_cut_and_says_so(encoder: Encoder) -> None:
    made = encoder.embed(["short", "word " * 400])
    assert made.truncated.tolist() == [False, True]
    assert made.token_counts.tolist() == [3, 256]
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("capabilities", "precision", "hint"),
    [
        (["FP32", "INT8", "BF16"], "auto", "bf16"),
        (["FP32", "INT8"], "auto", "f32"),
        (["FP32", "INT8", "BF16"], "float32", "f32"),
    ],
)
def test_bfloat16_is_the_default_only_where_the_processor_has_it(
    capabilities: list[str], precision: str, hint: str
) -> None:
    settings = EngineSettings.model_validate({"precision": precision})
    assert compile_options(settings, capabilities)["INFERENCE_PRECISION_HINT"] == hint


def test_the_default_precision_keeps_the_direction_of_every_vector(encoder: Encoder) -> None:
    exact = Encoder(MODEL, EngineSettings(precision="float32"))
    texts = [f"Roaming in {place} costs {cost} euro." for cost, place in enumerate(PLACES)]
    cosines = (encoder.embed(texts).vectors * exact.embed(texts).vectors).sum(axis=1)
    assert cosines.min() >= 0.999
