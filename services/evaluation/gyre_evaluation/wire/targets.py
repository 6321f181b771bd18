"""What is evaluated as requests to inference, and its answers as they are judged."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct
from gyre.inference.v1 import answer_pb2, service_pb2

from gyre_evaluation.domain.metrics.case import Cited
from gyre_evaluation.domain.runs import Produced, Target
from gyre_evaluation.wire.recorded import EVALUATION, SOURCE

# Live metrics, drift and abuse leave these answers out.
LABELS: Mapping[str, str] = {SOURCE: EVALUATION}


def _parameters(target: Target) -> answer_pb2.GenerationParameters:
    return answer_pb2.GenerationParameters(
        temperature=target.temperature, max_tokens=target.max_tokens, seed=target.seed
    )


def answer_request(target: Target, question: str) -> service_pb2.AnswerRequest:
    return service_pb2.AnswerRequest(
        question=question,
        collection=target.collection,
        top_k=target.top_k,
        parameters=_parameters(target),
        prompt_name=target.prompt_name,
        prompt_version=target.prompt_version,
        model=target.model,
        metadata=LABELS,
    )


def generate_request(target: Target, question: str) -> service_pb2.GenerateRequest:
    return service_pb2.GenerateRequest(
        messages=[answer_pb2.ChatMessage(role="user", content=question)],
        parameters=_parameters(target),
        model=target.model,
        metadata=LABELS,
    )


def chain_request(target: Target, question: str, request_id: str) -> service_pb2.RunChainRequest:
    inputs = Struct()
    inputs["question"] = question
    if target.collection:
        inputs["collection"] = target.collection
    return service_pb2.RunChainRequest(
        chain=target.chain,
        version=target.chain_version,
        inputs=inputs,
        chain_run_id=str(uuid.UUID(request_id)),
        metadata=LABELS,
    )


def produced_of(done: Any, seconds: float) -> Produced:
    """Of any of the three kinds of end; plain chat has no citations."""
    cited = getattr(done, "citations", ())
    refused = done.finish_reason == answer_pb2.FINISH_REASON_REFUSED
    return Produced(
        text=done.text,
        refused=True if refused else None,
        citations=tuple(Cited(one.number, one.sentence) for one in cited),
        seconds=seconds,
        input_tokens=done.usage.input_tokens,
        output_tokens=done.usage.output_tokens,
    )
