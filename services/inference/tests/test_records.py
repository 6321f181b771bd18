"""Records of answers in a real database: durable when said, in groups, each with its trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from gyre.inference.v1 import answer_pb2, events_pb2
from gyre_inference.adapters.records import OutboxRecords
from gyre_inference.domain.citations import Citation
from gyre_inference.domain.faults import Overloaded, Unavailable
from gyre_inference.domain.generation import FinishReason, Message, Parameters, Usage
from gyre_inference.domain.passages import Sentence
from gyre_inference.domain.record import AnswerRecord, Failure, Labels, Timings
from gyre_inference.use_cases.ledger import Ledger
from gyre_runtime.database import Database
from gyre_runtime.failures import Overloaded as OutboxFull
from inference_world import CALLER, ROAMING, passage

HIT = passage(ROAMING, "roaming")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite+aiosqlite:///{tmp_path}/inference.db", sa.MetaData())
    await opened.start()
    yield opened
    await opened.stop()


def answer() -> AnswerRecord:
    ledger = Ledger("answer", CALLER, Labels("talk", "user", {"a": "b"}), "gyre-reader")
    with ledger.step("retrieve", "search"):
        pass
    ledger.said("It is free [1].")
    return replace(
        ledger.record(FinishReason.STOP),
        question="q",
        chain="answer",
        chain_version="1",
        experiment="e",
        variant="v",
        variant_share=0.5,
        prompt_name="answer",
        prompt_version="1",
        prompt_arguments={"question": '"q"'},
        messages=(Message("user", "q"),),
        model_version="v",
        config_hash="h",
        parameters=Parameters(max_tokens=5, temperature=0.0, seed=0),
        collection="default",
        passages=(HIT,),
        index_version="i",
        citations=(Citation(1, Sentence(HIT, *HIT.spans[0])),),
        usage=Usage(1, 2, 3),
        timings=Timings(total=1.0, first_token=0.25, model=0.5),
        guard_verdicts={"coverage": "supported 1.00"},
    )


async def outbox(database: Database) -> list[sa.RowMapping]:
    async with database.reading() as connection:
        rows = await connection.execute(sa.select(database.tables.outbox))
        return list(rows.mappings())


async def test_every_field_of_an_answer_is_in_its_event(database: Database) -> None:
    record = answer()
    await OutboxRecords(database).generated(record)
    (row,) = await outbox(database)
    assert row["subject"] == "gyre.inference.v1.answer_generated.acme"
    said = events_pb2.AnswerGenerated.FromString(row["body"]).record
    open_fields = {"adapter", "cost_micros"}  # nothing sets them yet
    empty = {
        field.name
        for field in said.DESCRIPTOR.fields
        if field.name not in {one.name for one, _ in said.ListFields()}
    }
    assert empty == open_fields
    assert said.answer_id == record.answer_id
    assert said.parameters.HasField("seed")
    assert said.citations[0].sentence == HIT.text[slice(*HIT.spans[0])]
    assert said.timings.overhead.ToMilliseconds() == 500
    assert said.steps[0].kind == "retrieve"


async def test_a_failure_says_status_and_detail(database: Database) -> None:
    await OutboxRecords(database).failed(answer(), Failure("UNAVAILABLE", "no search"))
    (row,) = await outbox(database)
    said = events_pb2.AnswerFailed.FromString(row["body"])
    assert (said.status, said.detail) == ("UNAVAILABLE", "no search")
    assert said.record.finish_reason == answer_pb2.FINISH_REASON_STOP


async def test_answers_that_end_together_share_commits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    real = database.append
    monkeypatch.setattr(database, "append", lambda events: commits.append(1) or real(events))
    records = OutboxRecords(database)
    answers = [answer() for _ in range(50)]
    await asyncio.gather(*map(records.generated, answers))
    assert len(await outbox(database)) == 50
    assert len(commits) <= 2


async def test_a_caller_that_leaves_does_not_take_its_record_along(database: Database) -> None:
    saying = asyncio.create_task(OutboxRecords(database).generated(answer()))
    await asyncio.sleep(0)
    saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    await database.said.wait()
    assert len(await outbox(database)) == 1


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OutboxFull("outbox", "full", retry_after=3), Overloaded),
        (sa.exc.OperationalError("insert", {}, Exception("disk full")), Unavailable),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_the_next_one_is_tried(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception, fault: type[Exception]
) -> None:
    async def refuse(_: object) -> None:
        raise error

    records = OutboxRecords(database)
    with monkeypatch.context() as patch:
        patch.setattr(database, "append", refuse)
        with pytest.raises(fault):
            await records.generated(answer())
    await records.generated(answer())
    assert len(await outbox(database)) == 1
