"""What is evaluated as requests to inference, and its answers as they are judged."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct
from gyre.inference.v1 import answer_pb2, service_pb2
from gyre.retrieval.v1 import service_pb2 as retrieval_pb2

from gyre_evaluation.domain.metrics.case import Cited, Evidence
from gyre_evaluation.domain.originals import passages_in
from gyre_evaluation.domain.runs import Kind, Produced, Target
from gyre_evaluation.ports import Again
from gyre_evaluation.wire.recorded import EVALUATION, REPLAY, SOURCE

# Live metrics, drift and abuse leave these answers out.
LABELS: Mapping[str, str] = {SOURCE: EVALUATION}
DEFAULT_TOP_K = 10  # what inference takes by default


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


def replay_request(
    target: Target, again: Again
) -> service_pb2.AnswerRequest | service_pb2.GenerateRequest:
    """Marked as a run's and as the replay's. The prompt or the model is always named: an experiment
    must not take it."""
    request: service_pb2.AnswerRequest | service_pb2.GenerateRequest
    original = again.original
    if original.messages:
        request = generate_request(target, again.question)
        del request.messages[:]
        for role, content in original.messages:
            request.messages.add(role=role, content=content)
    else:
        request = answer_request(target, again.question)
        request.tell_arguments = True
        if target.kind is Kind.REPLAY:
            request.prompt_arguments.update(original.arguments)
    if again.replay_id:
        request.metadata[REPLAY] = again.replay_id
    return request


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


def search_request(target: Target, question: str) -> retrieval_pb2.SearchRequest:
    """What an answer is given, or what is judged itself."""
    return retrieval_pb2.SearchRequest(
        collection=target.collection,
        query=question,
        top_k=target.top_k or DEFAULT_TOP_K,
        index=target.index,
    )


def found_in(reply: retrieval_pb2.SearchResponse) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            hit.chunk.text,
            hit.chunk.chunk_id,
            hit.revision.document_id,
            hit.source.source_uri,
            tuple(hit.chunk.heading_path),
        )
        for hit in reply.hits
    )


def produced_of(done: Any, seconds: float) -> Produced:
    """Of any of the three kinds of end; plain chat has no citations."""
    cited = getattr(done, "citations", ())
    refused = done.finish_reason == answer_pb2.FINISH_REASON_REFUSED
    return Produced(
        text=done.text,
        refused=True if refused else None,
        citations=tuple(Cited(one.number, one.sentence) for one in cited),
        passages=passages_in(getattr(done, "prompt_arguments", {})),
        seconds=seconds,
        input_tokens=done.usage.input_tokens,
        output_tokens=done.usage.output_tokens,
    )
