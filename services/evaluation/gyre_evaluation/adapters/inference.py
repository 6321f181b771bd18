"""What is evaluated: the inference service, asked with the tenant's own key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import grpc
from google.rpc import error_details_pb2
from grpc_status.rpc_status import from_call
from gyre.inference.v1 import service_pb2
from gyre.inference.v1.service_pb2_grpc import (
    ChainServiceStub,
    InferenceServiceStub,
    PromptServiceStub,
)
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub
from gyre_runtime.rpc import TenantKeys, channel
from gyre_runtime.settings import RuntimeSettings

from gyre_evaluation.domain.errors import NotPossible
from gyre_evaluation.domain.metrics.case import Evidence
from gyre_evaluation.domain.runs import Kind, Produced, Target, found
from gyre_evaluation.ports import Again, TargetRefused, TargetUnavailable
from gyre_evaluation.wire.targets import (
    answer_request,
    chain_request,
    found_in,
    generate_request,
    produced_of,
    replay_request,
    search_request,
)

AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
MISSET = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class InferenceTargets:
    """`Targets` over InferenceService, PromptService and RetrievalService.

    timeout: seconds for one answer. Opened in the event loop that calls it.
    """

    def __init__(
        self,
        inference: str,
        retrieval: str,
        settings: RuntimeSettings,
        keys: TenantKeys,
        *,
        timeout: float,
    ) -> None:
        self._addresses = inference, retrieval
        self._settings = settings
        self._keys = keys
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        self._channels = [channel(one, self._settings) for one in self._addresses]
        inference, retrieval = self._channels
        self._answers = InferenceServiceStub(inference)
        self._prompts = PromptServiceStub(inference)
        self._chains = ChainServiceStub(inference)
        self._search = RetrievalServiceStub(retrieval)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._channels:
            await one.close()

    async def resolve(self, tenant: str, target: Target) -> Target:
        if target.kind in (Kind.RECORDED, Kind.SEARCH):
            return target
        if target.kind is Kind.CHAIN:
            request = service_pb2.GetChainRequest(name=target.chain, version=target.chain_version)
            chain = await self._unary(self._chains.GetChain, request, tenant)
            return replace(target, chain_version=str(chain.version.version))
        if target.kind is not Kind.GENERATE and target.prompt_name:
            asked = service_pb2.GetPromptRequest(
                name=target.prompt_name, version=target.prompt_version
            )
            prompt = await self._unary(self._prompts.GetPrompt, asked, tenant)
            return replace(target, prompt_version=str(prompt.version.version))
        return target

    async def passages(self, tenant: str, target: Target, question: str) -> tuple[Evidence, ...]:
        if target.kind not in (Kind.ANSWER, Kind.CHAIN):
            return ()
        request = search_request(target, question)
        return found_in(await self._unary(self._search.Search, request, tenant))

    async def answer(
        self, tenant: str, target: Target, question: str, *, request_id: str
    ) -> Produced:
        if target.kind is Kind.SEARCH:
            return await self._found(tenant, target, question)
        asked: Mapping[Kind, Callable[[], tuple[Any, Any]]] = {
            Kind.ANSWER: lambda: (self._answers.Answer, answer_request(target, question)),
            Kind.GENERATE: lambda: (self._answers.Generate, generate_request(target, question)),
            Kind.CHAIN: lambda: (
                self._answers.RunChain,
                chain_request(target, question, request_id),
            ),
        }
        method, request = asked[target.kind]()
        return await self._told(tenant, target, method, request)

    async def _found(self, tenant: str, target: Target, question: str) -> Produced:
        started = time.perf_counter()
        request = search_request(target, question)
        reply = await self._unary(self._search.Search, request, tenant)
        return found(found_in(reply), time.perf_counter() - started)

    async def replay(self, tenant: str, target: Target, again: Again) -> Produced:
        request = replay_request(target, again)
        chat = isinstance(request, service_pb2.GenerateRequest)
        method: Any = self._answers.Generate if chat else self._answers.Answer
        return await self._told(tenant, target, method, request)

    async def _told(self, tenant: str, target: Target, method: Any, request: Any) -> Produced:
        started, first = time.perf_counter(), None
        answer_id, model, done = "", target.model, None
        with _Faults():
            call = method(request, metadata=self._keys.metadata(tenant), timeout=self._timeout)
            async for reply in call:
                event = reply.WhichOneof("event")
                if event == "started":
                    answer_id = reply.started.answer_id
                    model = getattr(reply.started, "model", "") or model
                elif event == "done":
                    done = reply.done
                elif first is None and event in ("text_delta", "step_delta"):
                    first = time.perf_counter() - started
        if done is None:
            raise TargetRefused("the answer ended without its end")
        produced = produced_of(done, time.perf_counter() - started)
        return replace(produced, answer_id=answer_id, model=model, first_text_seconds=first)

    async def _unary(self, method: Any, request: Any, tenant: str) -> Any:
        with _Faults():
            return await method(
                request, metadata=self._keys.metadata(tenant), timeout=self._timeout
            )


class _Faults:
    """gRPC's errors as those of the port."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, grpc.aio.AioRpcError):
            return
        said = f"{error.code().name}: {error.details()}"
        if error.code() in AGAIN:
            raise TargetUnavailable(said, _retry_after(error)) from error
        if error.code() in MISSET:
            raise NotPossible(said) from error
        raise TargetRefused(said) from error


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    status = from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return 0.0
