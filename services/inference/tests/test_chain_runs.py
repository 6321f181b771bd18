"""One promise, two adapters: runs of chains in memory and in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from databases import opened, subjects
from gyre_inference.adapters.chain_runs import DatabaseChainRuns
from gyre_inference.adapters.memory_chains import MemoryChainRuns
from gyre_inference.domain.chain_runs import RunEnding, RunHeader, RunState, StepRecord
from gyre_inference.domain.faults import Conflict, NotFound
from gyre_inference.domain.generation import FinishReason, Usage
from gyre_inference.domain.record import AnswerRecord, Labels
from gyre_inference.ports import ChainRuns
from gyre_inference.use_cases.ledger import Ledger
from inference_world import CALLER

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = "0190b5a6-0000-7000-8000-000000000001"
HEADER = RunHeader(
    RUN, "support", "3", "answer-1", {"question": "q", "n": [1]}, Labels("talk"), NOW, "e", "v"
)
STEP = StepRecord(
    "found", "", "retrieve", "found", NOW, 0.25, "ok", {"query": "q"}, ["é"], Usage(1, 2, 3)
)
DONE = RunEnding(RunState.DONE, {"text": "t"}, finish_reason="STOP")


def record() -> AnswerRecord:
    ledger = Ledger("support", CALLER, Labels(), "gyre-reader", answer_id="answer-1")
    return ledger.record(FinishReason.STOP)


class ChainRunsContract:
    async def test_a_run_is_read_as_it_was_kept(self, runs: ChainRuns) -> None:
        begun = await runs.begin("acme", HEADER, "one")
        assert (begun.header, begun.steps, begun.ending) == (HEADER, (), None)
        await runs.keep("acme", RUN, "one", 1, STEP)
        await runs.keep("acme", RUN, "one", 2, replace(STEP, step_id="answer"))
        known = await runs.get("acme", RUN)
        assert known.steps == (STEP, replace(STEP, step_id="answer"))
        with pytest.raises(NotFound):
            await runs.get("globex", RUN)

    async def test_a_run_goes_on_with_what_it_was_begun_with(self, runs: ChainRuns) -> None:
        await runs.begin("acme", HEADER, "one")
        await runs.keep("acme", RUN, "one", 1, STEP)
        await runs.release("acme", RUN, "one")
        later = replace(HEADER, version="4", answer_id="answer-2", inputs={})
        known = await runs.begin("acme", later, "two")
        assert known.header == HEADER
        assert known.steps == (STEP,)

    async def test_a_run_has_one_holder(self, runs: ChainRuns) -> None:
        await runs.begin("acme", HEADER, "one")
        with pytest.raises(Conflict):
            await runs.begin("acme", HEADER, "two")
        with pytest.raises(Conflict):
            await runs.keep("acme", RUN, "two", 1, STEP)
        assert await runs.renew("acme", RUN, "one")
        assert not await runs.renew("acme", RUN, "two")
        await runs.release("acme", RUN, "two")
        assert not await runs.renew("acme", RUN, "two")
        await runs.begin("globex", HEADER, "two")

    async def test_a_step_is_kept_once(self, runs: ChainRuns) -> None:
        await runs.begin("acme", HEADER, "one")
        for output in (1, 2):
            await runs.keep("acme", RUN, "one", output, replace(STEP, output=output))
        (step,) = (await runs.get("acme", RUN)).steps
        assert step.output == 1

    async def test_an_end_is_told_once_with_its_answer(self, runs: ChainRuns) -> None:
        await runs.begin("acme", HEADER, "one")
        await runs.end("acme", RUN, DONE, record())
        await runs.end("acme", RUN, RunEnding(RunState.FAILED), record())
        assert (await runs.get("acme", RUN)).ending == DONE
        assert await self.said(runs) == 1
        assert (await runs.begin("acme", HEADER, "two")).ending == DONE

    async def test_runs_that_nobody_goes_on_with_are_forgotten(self, runs: ChainRuns) -> None:
        await runs.begin("acme", HEADER, "one")
        await runs.keep("acme", RUN, "one", 1, STEP)
        assert await runs.sweep(-1) == 0
        await runs.release("acme", RUN, "one")
        assert await runs.sweep(60) == 0
        assert await runs.sweep(-1) == 1
        with pytest.raises(NotFound):
            await runs.get("acme", RUN)

    async def said(self, runs: ChainRuns) -> int:
        raise NotImplementedError


class TestMemoryChainRuns(ChainRunsContract):
    @pytest.fixture
    def runs(self) -> MemoryChainRuns:
        return MemoryChainRuns()

    async def said(self, runs: ChainRuns) -> int:
        assert isinstance(runs, MemoryChainRuns)
        return len(runs.said)


class DatabaseChainRunsContract(ChainRunsContract):
    kind = ""

    @pytest.fixture
    async def runs(self, tmp_path: Path) -> AsyncIterator[DatabaseChainRuns]:
        async with opened(self.kind, tmp_path) as database:
            self.database = database
            yield DatabaseChainRuns(database)

    async def said(self, runs: ChainRuns) -> int:
        return (await subjects(self.database)).count("gyre.inference.v1.answer_generated.acme")


class TestSqliteChainRuns(DatabaseChainRunsContract):
    kind = "sqlite"


class TestPostgresChainRuns(DatabaseChainRunsContract):
    kind = "postgres"
