"""Datasets and examples as messages and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.evaluation.v1 import service_pb2 as wire

from gyre_evaluation.domain.datasets import DatasetVersion
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_evaluation.domain.recorded import AnswerFilter
from gyre_evaluation.wire.runs import time_to


def dataset_to(version: DatasetVersion) -> wire.Dataset:
    return wire.Dataset(
        name=version.name,
        version=version.version,
        description=version.description,
        sealed=version.sealed,
        examples=version.examples,
        splits=version.splits,
        content_hash=version.content_hash,
        create_time=time_to(version.create_time),
        author=version.author,
        leaks_mended=version.leaks_mended,
    )


def example_to(example: Example) -> wire.Example:
    return wire.Example(
        example_id=example.example_id,
        question=example.question,
        references=example.references,
        passages=[
            wire.Passage(chunk_id=one.chunk_id, document_id=one.document_id, text=one.text)
            for one in example.passages
        ],
        relevant_ids=example.relevant_ids,
        unanswerable=example.unanswerable,
        recorded_answer=example.recorded_answer,
        language=example.language,
        slices=example.slices,
        split=example.split,
        group=example.group,
        origin=example.origin,
        ratings=example.ratings,
    )


def example_from(given: wire.Example) -> Example:
    """Raises `RequestInvalid`."""
    return Example(
        question=given.question,
        references=tuple(given.references),
        passages=tuple(Evidence(one.text, one.chunk_id, one.document_id) for one in given.passages),
        relevant_ids=tuple(given.relevant_ids),
        unanswerable=given.unanswerable,
        recorded_answer=given.recorded_answer,
        language=given.language,
        slices=dict(given.slices),
        split=given.split,
        group=given.group,
        origin=given.origin,
        ratings=dict(given.ratings),
    )


def filter_from(given: wire.AnswerFilter) -> AnswerFilter:
    return AnswerFilter(
        collection=given.collection,
        prompt_name=given.prompt_name,
        prompt_version=given.prompt_version,
        model=given.model,
        language=given.language,
        start=moment(given.start_time) if given.HasField("start_time") else None,
        end=moment(given.end_time) if given.HasField("end_time") else None,
        refused=given.refused if given.HasField("refused") else None,
        limit=given.limit or 1000,
    )


def moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
