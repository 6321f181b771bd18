"""A model's card says what its record says, and nothing of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gyre_retraining.domain.card import card
from gyre_retraining.domain.models import (
    DatasetFacts,
    Licences,
    Making,
    ModelFile,
    ModelKind,
    ModelRecord,
    ModelVersion,
    StoredModel,
    signature_of,
)

RECORD = ModelRecord(
    tenant="acme",
    name="minilm",
    kind=ModelKind.EMBEDDING,
    stored=StoredModel(
        "/models/minilm",
        (ModelFile("model.safetensors", "f" * 64, 90_000_000),),
        "c" * 64,
        "BertModel",
        384,
        22_713_216,
    ),
    register_time=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    signature=signature_of(ModelKind.EMBEDDING, 384),
    training_id="t-1",
    base_model="minilm/1",
    metrics={"mrr@10": 0.51234567, "recall@10": 0.8},
    dataset=DatasetFacts(
        "d" * 64,
        "pairs",
        {"train": 1200, "validation": 130},
        (("withdrawn", 3), ("contaminated", 7)),
        {"language=en": 1000, "language=de": 330},
        datetime(2026, 2, 28, tzinfo=UTC),
    ),
    making=Making(
        "embedding-feedback",
        "e" * 64,
        "contrastive",
        "1,330 new judgements",
        "name: embedding-feedback\n",
        steps=300,
        seconds=81.4,
        peak_memory_bytes=1_500_000_000,
    ),
    licences=Licences("CC BY 4.0", "Apache-2.0"),
)


def test_the_card_tells_data_filters_licences_metrics_limits_and_making() -> None:
    text = card(ModelVersion(RECORD, 2, ("candidate",)))
    for expected in (
        "# minilm, version 2",
        "| Aliases | candidate |",
        "| Base model | minilm/1 |",
        "| Takes | text (string) |",
        "| Gives | vector (float32[384]) |",
        "| Licence | Apache-2.0 |",
        "| Parameters | 22,713,216 |",
        "| Why | 1,330 new judgements |",
        "| Method | contrastive |",
        "| Peak memory | 1,500 MB |",
        "```yaml\nname: embedding-feedback\n```",
        f"Dataset `{'d' * 64}` of pairs, sources up to 2026-02-28 00:00:00 UTC.",
        "| train | 1,200 |",
        "| withdrawn | 3 |\n| contaminated | 7 |",
        "| language=de | 330 |",
        "Licence of the data: CC BY 4.0.",
        "| mrr@10 | 0.512346 |",
        "- It saw 1,330 rows; what they do not hold was not learnt here.",
        "- Trained for de, en only.",
        f"| `model.safetensors` | 90,000,000 | `{'f' * 64}` |",
    ):
        assert expected in text


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    bare = replace(
        RECORD, training_id="", base_model="", metrics={}, dataset=None, making=None,
        licences=Licences(),
    )  # fmt: skip
    text = card(ModelVersion(bare, 1))
    assert "It was imported; nothing of its training is known here." in text
    assert "Nothing is known of the data." in text
    assert "None were computed on the validation split." in text
    assert "| Licence | not known; set it before you pass the model on |" in text
    assert "Licence of the data: not known." in card(
        ModelVersion(replace(RECORD, licences=Licences()), 1)
    )


def test_the_same_version_has_the_same_card_and_one_changed_number_another() -> None:
    once = card(ModelVersion(RECORD, 2))
    assert card(ModelVersion(replace(RECORD), 2)) == once
    assert card(ModelVersion(replace(RECORD, metrics={"mrr@10": 0.6}), 2)) != once


def test_what_a_person_typed_cannot_add_rows_to_a_table() -> None:
    assert RECORD.making is not None
    making = replace(RECORD.making, reason="a | b\n| Licence | public domain |")
    text = card(ModelVersion(replace(RECORD, making=making), 2))
    assert "| Why | a \\| b \\| Licence \\| public domain \\| |" in text
    assert "\n| Licence | public domain |" not in text


@pytest.mark.parametrize(
    ("kind", "takes", "gives"),
    [
        (ModelKind.LANGUAGE, "messages (messages)", "completion (string)"),
        (ModelKind.EMBEDDING, "text (string)", "vector (float32[-1])"),
        (
            ModelKind.REWARD,
            "messages (messages), completion (string)",
            "score (float32)",
        ),
    ],
)
def test_each_kind_has_its_signature(kind: ModelKind, takes: str, gives: str) -> None:
    record = replace(RECORD, kind=kind, signature=signature_of(kind, 0))
    text = card(ModelVersion(record, 1))
    assert f"| Takes | {takes} |" in text
    assert f"| Gives | {gives} |" in text
