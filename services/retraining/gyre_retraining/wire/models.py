"""Versions of models and their lineage as messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retraining.v1 import service_pb2, training_pb2

from gyre_retraining.domain.lineage import Node, Trace
from gyre_retraining.domain.models import ModelVersion


def model_to(version: ModelVersion, *, card: str = "", whole: bool = True) -> training_pb2.Model:
    """whole: with its files."""
    record = version.record
    files = record.stored.files if whole else ()
    return training_pb2.Model(
        name=record.name,
        version=version.version,
        kind=training_pb2.ModelKind.Value(f"MODEL_KIND_{record.kind.upper()}"),
        aliases=version.aliases,
        training_id=record.training_id,
        dataset_id=record.dataset_id,
        base_model=record.base_model,
        uri=record.stored.uri,
        files=[
            training_pb2.ModelFile(path=one.path, sha256=one.sha256, size_bytes=one.size_bytes)
            for one in files
        ],
        content_hash=record.stored.content_hash,
        card=card,
        metrics=dict(record.metrics),
        register_time=_time(record.register_time),
    )


def trace_to(trace: Trace) -> service_pb2.GetLineageResponse:
    return service_pb2.GetLineageResponse(
        nodes=map(_node, trace.nodes),
        edges=[
            service_pb2.LineageEdge(from_node=later, to_node=earlier, relation=relation)
            for later, earlier, relation in trace.edges
        ],
        truncated=trace.truncated,
    )


def _node(node: Node) -> service_pb2.LineageNode:
    return service_pb2.LineageNode(
        kind=node.thing.kind.value,
        id=node.thing.id,
        label=node.label,
        time=_time(node.time) if node.time else None,
    )


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
