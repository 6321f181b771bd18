"""The ports in memory, for tests: they refuse what the real ones refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gyre_inference.domain.faults import DeadlinePassed, Fault, NotFound, Unavailable
from gyre_inference.domain.generation import Ending, FinishReason, ModelRequest, Piece, Usage
from gyre_inference.domain.passages import Found, Passage, SearchFilter
from gyre_inference.domain.record import AnswerRecord, Failure
from gyre_inference.domain.throttles import Throttle
from gyre_inference.domain.words import terms

_DIMENSION = 1024


@dataclass
class MemoryPassageSearch:
    """Collections of passages; best is who shares most words with the question."""

    collections: dict[str, list[Passage]]
    fault: Fault | None = None

    async def search(
        self, question: str, collection: str, condition: SearchFilter, top_k: int
    ) -> Found:
        """See `PassageSearch`; metadata conditions match nothing."""
        if self.fault:
            raise self.fault
        if collection not in self.collections:
            raise NotFound(f"no collection {collection!r}")
        asked = set(terms(question, "en"))
        hits = [one for one in self.collections[collection] if _matches(one, condition)]
        hits.sort(key=lambda one: -len(asked & set(terms(one.text, "en"))))
        return Found(tuple(hits[:top_k]), "memory")


@dataclass
class MemorySentenceVectors:
    """Cosine of bags of words. asked: texts that vectors were made of."""

    fault: Fault | None = None
    asked: list[list[str]] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)

    async def similarities(self, question: str, lines: Sequence[str]) -> list[float]:
        """See `SentenceVectors`."""
        if self.fault:
            raise self.fault
        asked = set(terms(question, "en"))
        return [_overlap(asked, set(terms(line, "en"))) for line in lines]

    async def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """See `SentenceVectors`; one dimension for each word that any of the texts has."""
        if self.fault:
            raise self.fault
        self.asked.append(list(texts))
        bags = [set(terms(text, "en")) for text in texts]
        for word in sorted(set().union(*bags)):
            self.words.setdefault(word, len(self.words))
        return [self._vector(bag) for bag in bags]

    def _vector(self, bag: set[str]) -> list[float]:
        found = [0.0] * _DIMENSION
        for word in bag:
            found[self.words[word] % _DIMENSION] = 1 / len(bag) ** 0.5
        return found


def first_choice(request: ModelRequest) -> str:
    """The first choice of a guide, else an echo of the last message."""
    return request.choices[0] if request.choices else request.messages[-1].content


@dataclass
class MemoryLanguageModel:
    """Writes what `reply` says, word by word; `pause` seconds before each, `fault` at `fault_at`.

    stopped: ids of requests that were closed before their end.
    """

    reply: Callable[[ModelRequest], str] = first_choice
    models: frozenset[str] = frozenset({"gyre-reader"})
    pause: float = 0.0
    fault: Fault | None = None
    fault_at: int = 0
    asked: list[ModelRequest] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    async def write(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """See `LanguageModel`."""
        if request.model not in self.models:
            raise Unavailable(f"model {request.model} cannot answer now", retry_after=1.0)
        self.asked.append(request)
        try:
            async with asyncio.timeout(request.timeout):
                async for piece in self._pieces(request):
                    yield piece
        except TimeoutError:
            raise DeadlinePassed("the deadline passed while the model was writing") from None
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.append(request.request_id)
            raise

    async def version(self, model: str) -> str:
        """See `LanguageModel`."""
        return "memory" if model in self.models else ""

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        words, limit = _split(self.reply(request)), request.parameters.max_tokens
        for place, word in enumerate(words[:limit]):
            await asyncio.sleep(self.pause)
            if self.fault and place == self.fault_at:
                raise self.fault
            yield Piece(word)
        if self.fault:
            raise self.fault
        cut = limit is not None and len(words) > limit
        reason = FinishReason.LENGTH if cut else FinishReason.STOP
        told = sum(len(message.content.split()) for message in request.messages)
        yield Piece("", Ending(reason, Usage(told, len(words[:limit]))))


@dataclass
class MemoryRecords:
    """Keeps everything that is said, in order."""

    answers: list[AnswerRecord] = field(default_factory=list)
    failures: list[tuple[AnswerRecord, Failure]] = field(default_factory=list)
    fault: Fault | None = None

    async def generated(self, record: AnswerRecord) -> None:
        """See `Records`."""
        if self.fault:
            raise self.fault
        self.answers.append(record)

    async def failed(self, record: AnswerRecord, failure: Failure) -> None:
        """See `Records`."""
        if self.fault:
            raise self.fault
        self.failures.append((record, failure))


def _matches(passage: Passage, condition: SearchFilter) -> bool:
    documents, languages = condition.document_ids, condition.languages
    return (
        (not documents or passage.document_id in documents)
        and (not languages or passage.language in languages)
        and not condition.metadata
    )


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / ((len(one) * len(other)) ** 0.5 or 1.0)


def _split(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


@dataclass
class MemoryThrottles:
    """Callers that are held, for as long as the process lives."""

    held: dict[tuple[str, str], Throttle] = field(default_factory=dict)
    lifted: set[tuple[str, str]] = field(default_factory=set)

    async def hold(self, throttle: Throttle) -> None:
        """See `Throttles`."""
        self.held[throttle.tenant, throttle.alert_id] = throttle

    async def lift(self, tenant: str, alert_id: str) -> None:
        """See `Throttles`."""
        self.lifted.add((tenant, alert_id))

    async def in_force(self, now: datetime) -> list[Throttle]:
        """See `Throttles`."""
        return [
            throttle
            for key, throttle in self.held.items()
            if key not in self.lifted and throttle.until > now
        ]
