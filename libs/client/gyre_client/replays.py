"""History through a new prompt, model or collection."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from google.protobuf.json_format import MessageToDict
from gyre.evaluation.v1 import replay_pb2, service_pb2
from gyre.evaluation.v1.replay_pb2_grpc import ReplayServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import TimedOutError, raising
from gyre_client.evaluation import REPORT_TIMEOUT, WATCH_TIMEOUT, Difference, Target
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.evaluation.v1.replay_pb2_grpc import ReplayServiceAsyncStub


@dataclass(frozen=True)
class Answers:
    """Which recorded answers; empty and None mean any. limit: at most so many, newest first."""

    collection: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    model: str = ""
    language: str = ""
    since: datetime | None = None
    until: datetime | None = None
    refused: bool | None = None
    limit: int = 1000

    def message(self) -> service_pb2.AnswerFilter:
        wanted = service_pb2.AnswerFilter(
            collection=self.collection,
            prompt_name=self.prompt_name,
            prompt_version=self.prompt_version,
            model=self.model,
            language=self.language,
            refused=self.refused,
            limit=self.limit,
        )
        if self.since is not None:
            wanted.start_time.FromDatetime(self.since.astimezone(UTC))
        if self.until is not None:
            wanted.end_time.FromDatetime(self.until.astimezone(UTC))
        return wanted


@dataclass(frozen=True)
class Replay:
    """state: preparing, running, succeeded, failed or cancelled. changed: texts that are others
    now. left_out: chosen answers that cannot be given again, by reason."""

    replay_id: str
    title: str
    state: str
    detail: str
    answers: int
    done: int
    failures: int
    left_out: Mapping[str, int]
    differences: tuple[Difference, ...]
    changed: int
    refusals_gained: int
    refusals_lost: int
    dataset: str
    dataset_version: int
    recorded_run_id: str
    replayed_run_id: str
    author: str
    create_time: datetime
    end_time: datetime | None
    target: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @classmethod
    def read(cls, message: replay_pb2.Replay) -> Self:
        ended = message.HasField("end_time")
        return cls(
            replay_id=message.replay_id,
            title=message.label or _title(message),
            state=replay_pb2.ReplayState.Name(message.state).removeprefix("REPLAY_STATE_").lower(),
            detail=message.detail,
            answers=message.answers,
            done=message.done,
            failures=message.failures,
            left_out=dict(message.left_out),
            differences=tuple(map(Difference.read, message.differences)),
            changed=message.changed,
            refusals_gained=message.refusals_gained,
            refusals_lost=message.refusals_lost,
            dataset=message.dataset,
            dataset_version=message.dataset_version,
            recorded_run_id=message.recorded_run_id,
            replayed_run_id=message.replayed_run_id,
            author=message.author,
            create_time=message.create_time.ToDatetime(UTC),
            end_time=message.end_time.ToDatetime(UTC) if ended else None,
            target=MessageToDict(message.target, preserving_proto_field_name=True),
        )


class Replays:
    """The caller's replays. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.evaluation_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: ReplayServiceAsyncStub = ReplayServiceStub(channels.to(self._address))

    async def start(
        self,
        target: Target,
        answers: Answers | None = None,
        *,
        search_again: bool = False,
        metrics: Sequence[str] = (),
        margin: float = 0.0,
        concurrency: int = 0,
        ignore_cache: bool = False,
        label: str = "",
        creation_key: str = "",
    ) -> Replay:
        """What the target leaves open is as it was recorded, answer by answer. The same
        creation_key is the same replay."""
        request = replay_pb2.StartReplayRequest(
            recorded_answers=(answers or Answers()).message(),
            target=target.message(),
            search_again=search_again,
            metrics=metrics,
            margin=margin,
            concurrency=concurrency,
            ignore_cache=ignore_cache,
            label=label,
            creation_key=creation_key or str(uuid.uuid4()),
        )
        return Replay.read((await self._call(self._stub.StartReplay, request)).replay)

    async def get(self, replay_id: str) -> Replay:
        """How far it is."""
        request = replay_pb2.GetReplayRequest(replay_id=replay_id)
        return Replay.read((await self._call(self._stub.GetReplay, request)).replay)

    async def list(self, limit: int = 20) -> list[Replay]:
        """The newest ones."""
        request = replay_pb2.ListReplaysRequest(page_size=limit)
        reply = await self._call(self._stub.ListReplays, request)
        return [Replay.read(one) for one in reply.replays]

    async def cancel(self, replay_id: str) -> Replay:
        """As it is from now on; what was answered stays."""
        request = replay_pb2.CancelReplayRequest(replay_id=replay_id)
        return Replay.read((await self._call(self._stub.CancelReplay, request)).replay)

    async def watch(self, replay_id: str) -> AsyncIterator[Replay]:
        """The replay now and after each change, until it ended, however long that takes."""
        ended = False
        while not ended:
            try:
                async for replay in self._watched(replay_id):
                    yield replay
                    ended = replay.ended
            except TimedOutError:  # a stream has a longest time, a replay has none
                continue

    async def report(self, replay_id: str, *, html: bool = False) -> bytes:
        """JSON, or one page that needs nothing else."""
        kind = service_pb2.REPORT_FORMAT_HTML if html else service_pb2.REPORT_FORMAT_JSON
        request = replay_pb2.GetReplayReportRequest(replay_id=replay_id, format=kind)
        with raising(self._address):
            call = self._stub.GetReplayReport(
                request, metadata=self._metadata, timeout=REPORT_TIMEOUT
            )
            return b"".join([piece.data async for piece in call])

    async def _watched(self, replay_id: str) -> AsyncIterator[Replay]:
        request = replay_pb2.WatchReplayRequest(replay_id=replay_id)
        with raising(self._address):
            call = self._stub.WatchReplay(request, metadata=self._metadata, timeout=WATCH_TIMEOUT)
            async for reply in call:
                yield Replay.read(reply.replay)

    async def _call(self, method: Any, request: Any) -> Any:
        with raising(self._address):
            return await method(request, metadata=self._metadata, timeout=self._timeout)


def _title(message: replay_pb2.Replay) -> str:
    target = message.target
    prompt = "@".join(filter(None, (target.prompt_name, target.prompt_version)))
    said = (f"prompt {prompt}" if prompt else "", target.model, target.collection)
    return ", ".join(filter(None, said)) or "as it was"
