"""Records of models as JSON, for the registry's process and for its tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from gyre_retraining.domain.models import ModelRecord, ModelVersion

_RECORD = TypeAdapter(ModelRecord)
_VERSION = TypeAdapter(ModelVersion)


def record_text(record: ModelRecord) -> str:
    return _RECORD.dump_json(record).decode()


def record_of(text: str) -> ModelRecord:
    """Raises ValueError where it is none."""
    return _RECORD.validate_json(text)


def version_json(version: ModelVersion) -> dict[str, Any]:
    found: dict[str, Any] = _VERSION.dump_python(version, mode="json")
    return found


def version_of(told: Mapping[str, Any]) -> ModelVersion:
    """Raises ValueError where it is none."""
    return _VERSION.validate_python(told)
