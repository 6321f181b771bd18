"""Chat completions: an OpenAI request as an RPC, and the RPC's events as an OpenAI reply."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from gyre.inference.v1 import answer_pb2, service_pb2

from gyre_edge.requests import ChatRequest

Reply = service_pb2.AnswerResponse | service_pb2.GenerateResponse
Done = service_pb2.AnswerDone | service_pb2.GenerateDone
CUT_SHORT = {answer_pb2.FINISH_REASON_LENGTH, answer_pb2.FINISH_REASON_TIMEOUT}


def answer_request(request: ChatRequest, collection: str) -> service_pb2.AnswerRequest:
    """The user's last message is the question: the platform's own prompt asks the model."""
    return service_pb2.AnswerRequest(
        question=request.question,
        collection=collection,
        parameters=_parameters(request),
        end_user=_end_user(request),
        metadata=request.metadata or {},
    )


def generate_request(request: ChatRequest) -> service_pb2.GenerateRequest:
    """The conversation as it is."""
    roles = {"developer": "system"}
    return service_pb2.GenerateRequest(
        messages=[
            answer_pb2.ChatMessage(role=roles.get(one.role, one.role), content=one.text)
            for one in request.messages
        ],
        model=request.model,
        parameters=_parameters(request),
        end_user=_end_user(request),
        metadata=request.metadata or {},
    )


def _parameters(request: ChatRequest) -> answer_pb2.GenerationParameters:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    return answer_pb2.GenerationParameters(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=stop or (),
    )


def _end_user(request: ChatRequest) -> str:
    return request.safety_identifier or request.user or ""


@dataclass(frozen=True)
class Completion:
    """What every chunk of a reply, or the whole of it, has in common."""

    answer_id: str
    model: str
    created: int

    @classmethod
    def begun(cls, started: service_pb2.AnswerStarted) -> Completion:
        return cls(started.answer_id, started.model, int(time.time()))

    def whole(self, done: Done) -> dict[str, Any]:
        """The reply of a request that does not stream."""
        message = {"role": "assistant", "content": done.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": _ended(done), "logprobs": None}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": _usage(done),
            "gyre": evidence(done),
        }

    async def chunks(self, replies: AsyncIterator[Reply], usage: bool) -> AsyncIterator[Any]:
        """The reply of a request that streams, chunk by chunk."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for reply in replies:
            if reply.WhichOneof("event") == "text_delta":
                yield self._chunk({"content": reply.text_delta})
            else:
                yield self._chunk({}, _ended(reply.done)) | {"gyre": evidence(reply.done)}
                if usage:
                    yield self._chunk() | {"choices": [], "usage": _usage(reply.done)}

    def _chunk(
        self, delta: dict[str, str] | None = None, finish_reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.answer_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
        }


def evidence(done: Done) -> dict[str, Any]:
    """What OpenAI's shape has no place for: true end, citations, where the time went (ms)."""
    reason = answer_pb2.FinishReason.Name(done.finish_reason)
    found = {
        "finish_reason": reason.removeprefix("FINISH_REASON_").lower(),
        "overhead_ms": overhead_ms(done),
    }
    if isinstance(done, service_pb2.AnswerDone):
        found["citations"] = [
            MessageToDict(one, preserving_proto_field_name=True) for one in done.citations
        ]
    return found


def overhead_ms(done: Done) -> float:
    """What the platform itself added."""
    return round(done.timings.overhead.ToTimedelta().total_seconds() * 1000, 3)


def _ended(done: Done) -> str:
    return "length" if done.finish_reason in CUT_SHORT else "stop"


def _usage(done: Done) -> dict[str, Any]:
    used = done.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }
