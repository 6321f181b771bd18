"""Recorded answers for tests, and the doors of replays and gates beside that of runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from gyre.evaluation.v1 import replay_pb2 as wire
from gyre.evaluation.v1 import service_pb2
from gyre.evaluation.v1.replay_pb2_grpc import ReplayServiceStub
from gyre.inference.v1.answer_pb2 import FinishReason
from gyre.inference.v1.events_pb2 import AnswerGenerated, AnswerRecord
from gyre_evaluation.adapters.memory import MemoryTargets
from gyre_evaluation.domain.runs import Produced, Target
from gyre_evaluation.ports import Again
from gyre_runtime.events.compose import compose
from offline_world import ANSWERS, World, running

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
REFUSAL = "The documents do not answer this question."


class SlowAgain(MemoryTargets):
    """Takes a while, so that a replay can be caught in the middle."""

    async def replay(self, tenant: str, target: Target, again: Again) -> Produced:
        await asyncio.sleep(0.15)
        return await super().replay(tenant, target, again)


def given(number: int, question: str, text: str, **facts: Any) -> AnswerRecord:
    """An answer that a person was given, from two sentences."""
    sentences = [
        {"number": 1, "text": text, "title": "Sums", "heading": ""},
        {"number": 2, "text": "Sums are made of numbers.", "title": "Sums", "heading": ""},
    ]
    arguments = {
        "question": json.dumps(question),
        "language": '"en"',
        "sentences": json.dumps(sentences),
    }
    known: dict[str, Any] = {
        "answer_id": f"answer-{number:06}",
        "principal": "shop",
        "workload": "answer",
        "collection": "sums",
        "question": question,
        "completion": text,
        "finish_reason": FinishReason.FINISH_REASON_STOP,
        "prompt_name": "answer",
        "prompt_version": "3",
        "prompt_arguments": arguments,
        "model": "reader",
        "metadata": {"language": "en"},
    }
    time = facts.pop("time", YESTERDAY + timedelta(seconds=number))
    made = AnswerRecord(**{**known, **facts})
    made.request_time.FromDatetime(time)
    return made


@dataclass
class Past:
    """A service that has heard of answers."""

    world: World
    stub: ReplayServiceStub

    async def hears(self, *records: AnswerRecord) -> None:
        """As the bus tells it."""
        for record in records:
            event = AnswerGenerated(record=record)
            cause = f"cause-{record.answer_id}"
            message = compose(event, tenant="acme", entity_id=record.answer_id, cause=cause)
            self.world.exchange.publish(message)
        await self.world.exchange.settled()

    async def heard_all(self, answers: Mapping[str, str] = ANSWERS, **facts: Any) -> None:
        records = [given(n, *one, **facts) for n, one in enumerate(answers.items())]
        await self.hears(*records)

    async def call(self, method: str, request: Any, key: str = "key-acme") -> Any:
        credential = (("authorization", f"Bearer {key}"),)
        return await getattr(self.stub, method)(request, timeout=55, metadata=credential)

    async def refused(self, method: str, request: Any, key: str = "key-acme") -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.call(method, request, key)
        return refusal.value

    async def started(self, **fields: Any) -> wire.Replay:
        known = {"metrics": ["groundedness", "refusal", "answer_words"], **fields}
        reply = await self.call("StartReplay", wire.StartReplayRequest(**known))
        replay: wire.Replay = reply.replay
        return replay

    async def replayed(self, **fields: Any) -> wire.Replay:
        """At its end."""
        return await self.ended((await self.started(**fields)).replay_id)

    async def ended(self, replay_id: str) -> wire.Replay:
        return await self.caught(replay_id, None)

    async def caught(self, replay_id: str, done: int | None) -> wire.Replay:
        """As soon as it did so many; None waits for its end."""
        credential = (("authorization", "Bearer key-acme"),)
        request = wire.WatchReplayRequest(replay_id=replay_id)
        call = self.stub.WatchReplay(request, timeout=600, metadata=credential)
        last = wire.Replay()
        async for reply in call:
            last = reply.replay
            if done is not None and last.done >= done:
                call.cancel()
                break
        return last

    async def report(self, replay_id: str, *, html: bool = False) -> bytes:
        kind = service_pb2.REPORT_FORMAT_HTML if html else service_pb2.REPORT_FORMAT_JSON
        request = wire.GetReplayReportRequest(replay_id=replay_id, format=kind)
        credential = (("authorization", "Bearer key-acme"),)
        call = self.stub.GetReplayReport(request, timeout=120, metadata=credential)
        return b"".join([piece.data async for piece in call])


@asynccontextmanager
async def remembering(
    folder: Path, targets: MemoryTargets | None = None, **settings: Any
) -> AsyncIterator[Past]:
    """A started service; its live scoring rests."""
    async with running(folder, targets, **{"online_share": 0.0, **settings}) as world:
        assert world.service.rpc is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{world.service.rpc.port}") as channel:
            yield Past(world, ReplayServiceStub(channel))
