"""Two stories: a person's text at once, and documents' passages many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gyre_embedding.domain.passages import Embedding, Vectors, choose_batch
from gyre_embedding.ports import EmbeddingModel, EmbeddingModels, ModelUnknown


@dataclass(frozen=True)
class EmbedTexts:
    """Embeds the texts of one caller who waits, a batch at a time.

    More than `urgent_texts`, and what the caller calls bulk, are bulk work: the model for queries
    is kept free for queries. models: those that are not in force, by name.
    """

    model: EmbeddingModel
    batch_size: int
    urgent_texts: int
    models: EmbeddingModels | None = None

    async def __call__(
        self, texts: Sequence[str], *, model: str = "", bulk: bool = False
    ) -> Vectors:
        """Raises what the model raises."""
        chosen = self._chosen(model)
        urgent = not bulk and len(texts) <= self.urgent_texts
        batches = (
            texts[start : start + self.batch_size]
            for start in range(0, len(texts), self.batch_size)
        )
        made = [one for batch in batches for one in await chosen.embed(batch, urgent=urgent)]
        return Vectors(chosen.name, made)

    def _chosen(self, name: str) -> EmbeddingModel:
        if not name or name == self.model.name:
            return self.model
        if self.models is None:
            raise ModelUnknown(f"no other model than {self.model.name!r} is served here")
        return self.models.named(name)


@dataclass(eq=False)
class _Waiting:
    text: str
    length: int
    made: asyncio.Future[Embedding]


@dataclass
class EmbedPassages:
    """Embeds the passages of many documents together.

    What is asked for at the same time is gathered, and cut into batches of like length:
    padding is what costs most on passages of mixed length.
    """

    model: EmbeddingModel
    batch_size: int
    in_flight: int
    _waiting: list[_Waiting] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the batches flowing while the context is open."""
        tasks = [asyncio.create_task(self._embed_batches()) for _ in range(self.in_flight)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, texts: Sequence[str], lengths: Sequence[int]) -> list[Embedding]:
        """Embeds `texts`, whose `lengths` (tokens) are known; raises what the model raises."""
        loop = asyncio.get_running_loop()
        asked = [
            _Waiting(text, length, loop.create_future())
            for text, length in zip(texts, lengths, strict=True)
        ]
        self._waiting.extend(asked)
        self._arrived.set()
        try:
            return await asyncio.gather(*(one.made for one in asked))
        finally:
            self._forget(asked)

    def _forget(self, asked: list[_Waiting]) -> None:
        """A caller that left, or whose other passage failed, has nothing embedded any more."""
        gone = set(map(id, asked))
        self._waiting = [one for one in self._waiting if id(one) not in gone]
        for one in asked:
            one.made.cancel()

    async def _embed_batches(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._waiting:
                self._arrived.clear()
                continue
            batch = choose_batch(self._waiting, self.batch_size)
            taken = set(map(id, batch))
            self._waiting = [one for one in self._waiting if id(one) not in taken]
            await self._embed(batch)

    async def _embed(self, batch: list[_Waiting]) -> None:
        try:
            made = await self.model.embed([one.text for one in batch], urgent=False)
        except Exception as error:  # handed to every caller whose passage was in the batch
            for one in batch:
                if not one.made.done():
                    one.made.set_exception(error)
            return
        for one, embedding in zip(batch, made, strict=True):
            if not one.made.done():
                one.made.set_result(embedding)
