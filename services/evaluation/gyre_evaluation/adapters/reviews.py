"""Reviews of people, from the feedback service, with the tenant's key."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.json_format import MessageToDict
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub
from gyre_runtime.rpc import TenantKeys, channel
from gyre_runtime.settings import RuntimeSettings

from gyre_evaluation.domain.examples import Example
from gyre_evaluation.ports import TargetUnavailable

TIMEOUT = 300.0


class FeedbackReviews:
    """`Reviews` over FeedbackService.ExportReviews. Opened in the event loop that calls it."""

    def __init__(self, address: str, settings: RuntimeSettings, keys: TenantKeys) -> None:
        self._address = address
        self._settings = settings
        self._keys = keys

    async def __aenter__(self) -> Self:
        self._channel = channel(self._address, self._settings)
        self._stub = FeedbackServiceStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def examples(self, tenant: str, since: datetime | None, limit: int) -> list[Example]:
        request = wire.ExportReviewsRequest(format=wire.REVIEW_FORMAT_JSONL)
        found: list[Example] = []
        try:
            call = self._stub.ExportReviews(
                request, metadata=self._keys.metadata(tenant), timeout=TIMEOUT
            )
            async for reply in call:
                example = example_of_review(MessageToDict(reply.record), since)
                if example is not None and len(found) < limit:
                    found.append(example)
        except grpc.aio.AioRpcError as error:
            raise TargetUnavailable(f"the feedback service: {error.details()}") from error
        return found


def example_of_review(record: dict[str, Any], since: datetime | None) -> Example | None:
    """An item with its reviews as JSONL; None where nobody reviewed it (since then)."""
    said = [one for one in record.get("reviews", ()) if _counts(one, since)]
    question = str(record.get("question", "")).strip()
    if not said or not question:
        return None
    corrections = [one["correction"].strip() for one in said if one.get("correction")]
    return Example(
        question=question,
        references=tuple(dict.fromkeys(filter(None, corrections))),
        recorded_answer=str(record.get("answer", "")),
        relevant_ids=(),
        language=str(record.get("language", "")),
        slices={
            name: str(record[name])
            for name in ("collection", "model", "prompt_name")
            if record.get(name)
        },
        group=str(record.get("answer_id", "")),
        origin=str(record.get("answer_id", "")),
    )


def _counts(review: dict[str, Any], since: datetime | None) -> bool:
    done = review.get("complete_time", "")
    if review.get("declined") or not done:
        return False
    return since is None or datetime.fromisoformat(done) >= since
