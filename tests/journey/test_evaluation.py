"""A dataset is answered by the real services and scored; people's answers become examples."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
from gyre.evaluation.v1.service_pb2 import AnswerFilter, ReviewFilter
from gyre.retrieval.v1.service_pb2 import ListCollectionsRequest
from gyre.retrieval.v1.service_pb2_grpc import RetrievalServiceStub
from gyre_client import AnswerStarted, Gyre, NotFoundError
from gyre_client.evaluation import Dataset, Run, Target

from tests.journey.conftest import Loop
from tests.journey.test_journey import ROAMING, ROUTER, ingested

QUESTION = "What does roaming in Japan cost a day?"
EXAMPLES = [
    {"question": QUESTION, "answer": "Roaming in Japan costs nine euros a day."},
    {"question": "How is the router restarted?", "answer": "Press the reset button."},
    {"question": "Who won the football match yesterday?", "unanswerable": True},
]


async def ended(gyre: Gyre, run: Run) -> Run:
    async for seen in gyre.evaluation.watch_run(run.run_id):
        run = seen
    return run


async def index_in_use(loop: Loop) -> str:
    """Of the collection `default`."""
    credential = (("authorization", "Bearer acme"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{loop.ports['retrieval']}") as channel:
        listed = await RetrievalServiceStub(channel).ListCollections(
            ListCollectionsRequest(), timeout=20, metadata=credential
        )
    return next(one.index_version for one in listed.collections if one.name == "default")


async def test_a_prompt_is_scored_by_what_the_services_answer(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        router = await ingested(gyre, "router.txt", ROUTER)
        examples = [dict(one) for one in EXAMPLES]
        examples[1]["relevant_ids"] = [router.document_id]
        dataset = await gyre.evaluation.upload_dataset("questions", examples)
        target = Target(prompt_name="answer")
        first = await ended(gyre, await gyre.evaluation.start_run("questions", target))
        again = await ended(gyre, await gyre.evaluation.start_run("questions", target))
    assert (dataset.examples, dataset.sealed) == (3, True)
    assert (first.state, first.done, first.failures) == ("succeeded", 3, 0), first.detail
    assert again.cached == 3
    assert first.target["prompt_version"] == "1"
    means = {one.metric: one.mean for one in first.summaries}
    assert means["recall_at_10"] == 1.0
    assert 0 < (means["groundedness"] or 0) <= 1.0
    assert first.output_tokens > 0


async def test_a_search_is_scored_by_the_passages_that_examples_name(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        await ingested(gyre, "router.txt", ROUTER)
        examples = [
            {"question": QUESTION, "relevant_ids": ["roaming.txt"]},
            {"question": "How is the router restarted?", "relevant_ids": ["router.txt"]},
        ]
        await gyre.evaluation.upload_dataset("passages", examples)
        run = await ended(gyre, await gyre.evaluation.start_run("passages", Target("search")))
        index = await index_in_use(loop)
        targets = (Target("search", index=index), Target("search", index="another"))
        named, gone = [
            await ended(gyre, await gyre.evaluation.start_run("passages", one)) for one in targets
        ]
    assert (run.state, run.failures) == ("succeeded", 0), run.detail
    means = {one.metric: one.mean for one in run.summaries}
    assert means == {one.metric: one.mean for one in named.summaries}
    assert means["mrr_at_10"] == 1.0
    assert "token_f1" not in means
    assert gone.state == "failed"
    assert "NOT_FOUND" in gone.detail


async def test_answers_that_people_were_given_become_a_dataset(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        async for _ in gyre.answer(QUESTION):
            pass
        dataset = await recorded(gyre)
        target = Target(kind="recorded")
        run = await ended(gyre, await gyre.evaluation.start_run("live", target))
    assert (dataset.examples, run.state, run.failures) == (1, "succeeded", 0), run.detail
    async with loop.client("globex") as stranger:
        opened = await stranger.evaluation.open_dataset("live", recorded=AnswerFilter())
    assert opened.examples == 0


async def test_a_reviewers_correction_becomes_the_reference(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        events = [event async for event in gyre.answer(QUESTION)]
        assert isinstance(events[0], AnswerStarted)
        await put_up(gyre, events[0].answer_id)
        item = await gyre.reviews.next()
        labels = {one.name: one.choices[0] for one in item.rubric}
        await gyre.reviews.complete(item.item_id, labels, correction="Nine euros.")
        opened = await gyre.evaluation.open_dataset("reviewed", reviews=ReviewFilter())
        (example,) = [one async for one in gyre.evaluation.examples("reviewed", opened.version)]
    assert (example["question"], example["references"]) == (QUESTION, ["Nine euros."])
    assert example["origin"] == events[0].answer_id


async def test_answers_of_a_run_are_not_taken_for_those_of_people(loop: Loop) -> None:
    async with loop.client() as gyre:
        await ingested(gyre, "roaming.txt", ROAMING)
        await gyre.evaluation.upload_dataset("questions", EXAMPLES[:1])
        await ended(gyre, await gyre.evaluation.start_run("questions"))
        await loop.exchange.settled(20.0)
        opened = await gyre.evaluation.open_dataset("live", recorded=AnswerFilter())
    assert opened.examples == 0


async def put_up(gyre: Gyre, answer_id: str) -> None:
    """For review, once feedback has heard of the answer."""
    async with asyncio.timeout(150):
        while True:
            with contextlib.suppress(NotFoundError):
                await gyre.reviews.add(answer_id)
                return
            await asyncio.sleep(0.1)


async def recorded(gyre: Gyre) -> Dataset:
    """Sealed, once evaluation has heard of an answer."""
    async with asyncio.timeout(150):
        while True:
            opened = await gyre.evaluation.open_dataset("live", recorded=AnswerFilter())
            if opened.examples:
                return await gyre.evaluation.seal_dataset(opened)
            await asyncio.sleep(0.1)
