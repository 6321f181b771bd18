"""The client: documents, search, answers and plain chat."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from gyre.inference.v1 import answer_pb2
from gyre.inference.v1 import service_pb2 as inference_pb2
from gyre.inference.v1.service_pb2_grpc import InferenceServiceStub
from gyre.retrieval.v1 import service_pb2 as retrieval_pb2
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub

from gyre_client.chains import Chains
from gyre_client.channels import Channels
from gyre_client.documents import Documents
from gyre_client.errors import raising
from gyre_client.evaluation import Evaluation
from gyre_client.experiments import Experiments
from gyre_client.feedback import FeedbackClient
from gyre_client.gates import Gates
from gyre_client.indexes import Indexes
from gyre_client.models import (
    AnswerDone,
    AnswerStarted,
    ChatMessage,
    Citation,
    Hit,
    Parameters,
    TextDelta,
    Timings,
    finish_reason,
    usage,
)
from gyre_client.monitoring import Monitoring
from gyre_client.privacy import Privacy
from gyre_client.prompts import Prompts
from gyre_client.replays import Replays
from gyre_client.reviews import Reviews
from gyre_client.rollouts import Rollouts
from gyre_client.settings import ClientSettings
from gyre_client.training import TrainingClient

if TYPE_CHECKING:  # the asynchronous stubs are types alone
    from gyre.inference.v1.service_pb2_grpc import InferenceServiceAsyncStub
    from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceAsyncStub

AnswerEvent = AnswerStarted | TextDelta | AnswerDone
ANSWER_TIMEOUT = 120.0


class Gyre:
    """A connection to the platform; use it as an async context manager and share it.

    Every method raises GyreError. Leaving an answer's loop early cancels it down to the model.
    """

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self._settings = settings or ClientSettings()
        self._channels = Channels(self._settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every channel; may be repeated."""
        await self._channels.close()

    @property
    def documents(self) -> Documents:
        """Upload, list, watch and delete."""
        return Documents(self._channels, self._settings)

    @property
    def prompts(self) -> Prompts:
        """Register, render and promote prompts."""
        return Prompts(self._channels, self._settings)

    @property
    def chains(self) -> Chains:
        """Register and run chains."""
        return Chains(self._channels, self._settings)

    @property
    def experiments(self) -> Experiments:
        """Start and stop experiments."""
        return Experiments(self._channels, self._settings)

    @property
    def privacy(self) -> Privacy:
        """People who want to be forgotten."""
        return Privacy(self._channels, self._settings)

    @property
    def rollouts(self) -> Rollouts:
        """A candidate goes to everybody by steps, or back."""
        return Rollouts(self._channels, self._settings)

    @cached_property
    def feedback(self) -> FeedbackClient:
        """Judge answers, and see what people think."""
        return FeedbackClient(self._channels, self._settings)

    @property
    def reviews(self) -> Reviews:
        """Look at answers again."""
        return Reviews(self._channels, self._settings)

    @property
    def evaluation(self) -> Evaluation:
        """Datasets, runs, comparisons and reports."""
        return Evaluation(self._channels, self._settings)

    @property
    def gates(self) -> Gates:
        """Whether a candidate may take the champion's place."""
        return Gates(self._channels, self._settings)

    @property
    def replays(self) -> Replays:
        """History through a new prompt, model or collection."""
        return Replays(self._channels, self._settings)

    @property
    def indexes(self) -> Indexes:
        """Indexes for other embedders: fill, compare, switch."""
        return Indexes(self._channels, self._settings)

    @property
    def monitoring(self) -> Monitoring:
        """What live answers come to: windows, drift, alerts."""
        return Monitoring(self._channels, self._settings)

    @property
    def training(self) -> TrainingClient:
        """Trainings, versions of models, and what came from what."""
        return TrainingClient(self._channels, self._settings)

    async def search(
        self,
        query: str,
        *,
        collection: str = "default",
        mode: Literal["hybrid", "dense", "lexical"] = "hybrid",
        top_k: int = 10,
        languages: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        minimum_score: float = 0.0,
        index: str = "",
    ) -> list[Hit]:
        """The best passages for a query, best first. index: a filled one beside that in use."""
        address = self._settings.retrieval_address
        stub: RetrievalServiceAsyncStub = RetrievalServiceStub(self._channels.to(address))
        request = retrieval_pb2.SearchRequest(
            collection=collection,
            query=query,
            mode=retrieval_pb2.SearchMode.Value(f"SEARCH_MODE_{mode.upper()}"),
            top_k=top_k,
            filter=retrieval_pb2.SearchFilter(languages=languages, metadata=metadata or {}),
            minimum_score=minimum_score,
            index=index,
        )
        with raising(address):
            reply = await stub.Search(
                request, metadata=self._channels.metadata, timeout=self._settings.timeout
            )
        return [Hit.read(hit) for hit in reply.hits]

    def answer(
        self,
        question: str,
        *,
        collection: str = "default",
        languages: Sequence[str] = (),
        conversation_id: str = "",
        end_user: str = "",
        parameters: Parameters | None = None,
        metadata: Mapping[str, str] | None = None,
        prompt_name: str = "",
        prompt_version: str = "",
        model: str = "",
        timeout: float = ANSWER_TIMEOUT,
    ) -> AsyncIterator[AnswerEvent]:
        """Streams a grounded answer: AnswerStarted, TextDelta..., AnswerDone with citations.

        prompt_version: a version or a label. Where prompt or model is named, no experiment applies.
        """
        request = inference_pb2.AnswerRequest(
            question=question,
            collection=collection,
            filter=retrieval_pb2.SearchFilter(languages=languages),
            conversation_id=conversation_id,
            end_user=end_user,
            parameters=(parameters or Parameters()).message(),
            metadata=metadata or {},
            prompt_name=prompt_name,
            prompt_version=prompt_version,
            model=model,
        )
        return self._events(self._inference().Answer, request, timeout)

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str = "",
        conversation_id: str = "",
        end_user: str = "",
        parameters: Parameters | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> AsyncIterator[AnswerEvent]:
        """Streams plain chat, without documents: AnswerStarted, TextDelta..., AnswerDone."""
        request = inference_pb2.GenerateRequest(
            messages=[
                answer_pb2.ChatMessage(role=one.role, content=one.content) for one in messages
            ],
            model=model,
            conversation_id=conversation_id,
            end_user=end_user,
            parameters=(parameters or Parameters()).message(),
        )
        return self._events(self._inference().Generate, request, timeout)

    async def _events(
        self, method: Callable[..., Any], request: object, timeout: float
    ) -> AsyncIterator[AnswerEvent]:
        with raising(self._settings.inference_address):
            call = method(request, metadata=self._channels.metadata, timeout=timeout)
            try:
                async for reply in call:
                    yield _answer_event(reply)
            finally:
                call.cancel()

    def _inference(self) -> InferenceServiceAsyncStub:
        return InferenceServiceStub(self._channels.to(self._settings.inference_address))


def _answer_event(
    reply: inference_pb2.AnswerResponse | inference_pb2.GenerateResponse,
) -> AnswerEvent:
    match reply.WhichOneof("event"):
        case "started":
            return _started(reply.started)
        case "text_delta":
            return TextDelta(reply.text_delta)
        case _:
            return _done(reply.done)


def _started(message: inference_pb2.AnswerStarted) -> AnswerStarted:
    return AnswerStarted(
        message.answer_id,
        message.model,
        message.prompt_name,
        message.prompt_version,
        message.experiment,
        message.variant,
    )


def _done(message: inference_pb2.AnswerDone | inference_pb2.GenerateDone) -> AnswerDone:
    cited = message.citations if isinstance(message, inference_pb2.AnswerDone) else ()
    return AnswerDone(
        text=message.text,
        finish_reason=finish_reason(message.finish_reason),
        citations=tuple(Citation.read(one) for one in cited),
        usage=usage(message.usage),
        timings=Timings.read(message.timings),
    )
