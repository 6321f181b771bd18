"""Passages of many documents share batches; one caller's failure is not another's."""

from __future__ import annotations

import asyncio

import pytest
from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.ports import ModelUnavailable, ModelUnknown
from gyre_embedding.use_cases.embedding import EmbedPassages, EmbedTexts


class Recording(MemoryEmbeddingModel):
    """Remembers what it was asked, and waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, bool]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def embed(self, texts, *, urgent):
        await self.go.wait()
        self.batches.append((len(texts), urgent))
        return await super().embed(texts, urgent=urgent)


async def test_passages_of_many_documents_share_batches_and_each_gets_its_own_vectors():
    model = Recording()
    embed = EmbedPassages(model, batch_size=8, in_flight=1)
    parts = [
        [f"document {number} says {'x ' * number}{place}" for place in range(3)]
        for number in range(8)
    ]
    model.go.clear()
    async with embed.running():
        made = asyncio.gather(*(embed(part, [len(text) for text in part]) for part in parts))
        await asyncio.sleep(0)
        model.go.set()
        vectors = await made
    alone = MemoryEmbeddingModel()
    for part, embeddings in zip(parts, vectors, strict=True):
        assert embeddings == await alone.embed(part, urgent=False)
    assert sum(size for size, _ in model.batches) == 24
    assert len(model.batches) <= 4
    assert not any(urgent for _, urgent in model.batches)


async def test_a_model_that_is_down_is_told_to_every_caller_and_the_next_call_works():
    model = MemoryEmbeddingModel(available=False)
    embed = EmbedPassages(model, batch_size=4, in_flight=2)
    async with embed.running():
        with pytest.raises(ModelUnavailable):
            await embed(["one", "two"], [3, 3])
        model.available = True
        assert len(await embed(["one", "two"], [3, 3])) == 2


async def test_a_caller_that_leaves_is_embedded_no_more():
    model = Recording()
    embed = EmbedPassages(model, batch_size=1, in_flight=1)
    model.go.clear()
    async with embed.running():
        left = asyncio.create_task(embed(["a", "b", "c"], [1, 1, 1]))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        model.go.set()
        await embed(["d"], [1])
    assert len(model.batches) <= 2


async def test_a_persons_texts_are_urgent():
    model = Recording()
    made = await EmbedTexts(model, batch_size=4, urgent_texts=2)(["one", "two"])
    assert made.embeddings == await MemoryEmbeddingModel().embed(["one", "two"], urgent=True)
    assert model.batches == [(2, True)]


async def test_many_texts_of_one_call_stay_in_order_and_leave_the_model_for_queries_free():
    model = Recording()
    texts = [f"text {number}" for number in range(10)]
    made = await EmbedTexts(model, batch_size=4, urgent_texts=2)(texts)
    assert made.embeddings == await MemoryEmbeddingModel().embed(texts, urgent=False)
    assert model.batches == [(4, False), (4, False), (2, False)]


async def test_what_the_caller_calls_bulk_is_bulk_however_little_it_is():
    model = Recording()
    await EmbedTexts(model, batch_size=4, urgent_texts=2)(["one"], bulk=True)
    assert model.batches == [(1, False)]


async def test_a_model_is_chosen_by_its_name():
    model = MemoryEmbeddingModel(others=("new",))
    embed = EmbedTexts(model, batch_size=4, urgent_texts=2, models=model)
    ours, same, other = [await embed(["words"], model=name) for name in ("", "memory", "new")]
    assert (ours.model, same.model, other.model) == ("memory", "memory", "new")
    assert ours.embeddings == same.embeddings != other.embeddings
    with pytest.raises(ModelUnknown, match="missing"):
        await embed(["words"], model="missing")


async def test_without_other_models_a_name_is_unknown():
    embed = EmbedTexts(MemoryEmbeddingModel(), batch_size=4, urgent_texts=2)
    with pytest.raises(ModelUnknown):
        await embed(["words"], model="new")
