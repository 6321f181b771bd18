"""`gyre feedback` and `gyre review`, as a person types them, against the running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord
from gyre_feedback.adapters.memory import MemoryFeatureStore
from gyre_feedback.adapters.tables import metadata
from gyre_feedback.app import build
from gyre_feedback.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database
from gyre_runtime.events.compose import compose

NOT_FOUND, FAILED = 4, 1


class Shell:
    """Runs the command line."""

    def __init__(self, port: int) -> None:
        self._environment = {
            **os.environ,
            "GYRE_FEEDBACK_ADDRESS": f"127.0.0.1:{port}",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    async def run(self, *words: str) -> tuple[int, str]:
        """Exit code and what was printed."""
        program = Path(sys.executable).with_name("gyre")
        process = await asyncio.create_subprocess_exec(
            program,
            *words,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def json(self, *words: str) -> Any:
        code, text = await self.run(*words, "--json")
        assert code == 0, text
        return json.loads(text)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    settings = Settings(
        grpc_address="127.0.0.1:0", metrics_port=0, projection_pause=0.05, review_sample=0.0
    )
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/feedback.db", metadata)
    exchange = MemoryExchange()
    bus = Bus(settings, "feedback", database=database, link=MemoryLink(exchange))
    service = build(settings, bus=bus, database=database, features=MemoryFeatureStore())
    await service.start()
    record = AnswerRecord(
        answer_id="a-1", prompt_name="answer", prompt_version="1", question="Why?", completion="So."
    )
    event = AnswerGenerated(record=record)
    exchange.publish(compose(event, tenant="demo", entity_id="a-1", cause=None))
    await exchange.settled()
    assert service.rpc is not None
    yield Shell(service.rpc.port)
    await service.stop()


async def test_an_answer_is_judged_edited_listed_scored_and_withdrawn(shell: Shell) -> None:
    assert (await shell.json("feedback", "declare", "helpful", "boolean"))["level"] == "answer"
    (kept,) = await shell.json("feedback", "give", "a-1", "helpful", "yes", "--rater", "r-1")
    assert (kept["state"], kept["value"], kept["prompt"]) == ("recorded", True, "answer/1")
    edit = ("--id", kept["feedback_id"], "--revision", "2", "--rater", "r-1")
    await shell.json("feedback", "give", "a-1", "helpful", "no", *edit)
    (listed,) = await shell.json("feedback", "list", "--prompt", "answer/1")
    assert (listed["revision"], listed["value"]) == (2, False)
    assert [one["entity_id"] for one in await _scores(shell)] == ["answer/1"]
    (gone,) = await shell.json("feedback", "withdraw", kept["feedback_id"])
    assert gone["state"] == "withdrawn"


async def test_a_judgement_that_is_refused_says_what_to_do(shell: Shell) -> None:
    code, text = await shell.run("feedback", "give", "a-1", "unheard", "yes")
    assert (code, "call DeclareMetric first" in text) == (FAILED, True)


async def test_an_answer_is_reviewed_exported_and_imported(shell: Shell, tmp_path: Path) -> None:
    assert (await shell.run("review", "next"))[0] == NOT_FOUND
    await shell.json("review", "add", "a-1")
    item = await shell.json("review", "next")
    assert item["question"] == "Why?"
    labels = ("--label", "correct=right", "--label", "helpful=yes")
    await shell.json("review", "complete", "a-1", *labels)
    assert (await shell.json("review", "summary"))["reviews"] == 1
    file = tmp_path / "tasks.json"
    code, text = await shell.run("review", "export", str(file), "--format", "label_studio")
    assert code == 0, text
    assert json.loads(file.read_text())[0]["data"]["answer_id"] == "a-1"
    found = await shell.json("review", "import", str(file), "--format", "label_studio")
    assert found == {"items": 0, "reviews": 0}


async def _scores(shell: Shell) -> Any:
    async with asyncio.timeout(150):
        while True:
            if found := await shell.json("feedback", "scores", "prompt"):
                return found
