"""The review queue: claim an answer, judge it by the rubric, take reviews elsewhere and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.json_format import MessageToDict
from gyre.feedback.v1 import service_pb2 as wire
from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceStub

from gyre_client.channels import Channels
from gyre_client.errors import raising
from gyre_client.judgements import ReviewItem, ReviewSummary
from gyre_client.settings import ClientSettings

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.feedback.v1.service_pb2_grpc import FeedbackServiceAsyncStub

Format = Literal["jsonl", "label_studio"]
TRANSFER_TIMEOUT = 600.0


class Reviews:
    """The queue of the caller's tenant. Every method raises GyreError."""

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.feedback_address
        self._metadata = channels.metadata
        self._timeout = settings.timeout
        self._stub: FeedbackServiceAsyncStub = FeedbackServiceStub(channels.to(self._address))

    async def add(self, answer_id: str) -> ReviewItem:
        """Puts an answer up."""
        with raising(self._address):
            reply = await self._stub.AddReviewItem(
                wire.AddReviewItemRequest(answer_id=answer_id),
                metadata=self._metadata,
                timeout=self._timeout,
            )
        return ReviewItem.read(reply.item)

    async def next(self, *, reason: str = "") -> ReviewItem:
        """Claims the next one for the caller; raises NotFoundError when nothing waits."""
        wanted = wire.ReviewReason.Value(f"REVIEW_REASON_{(reason or 'unspecified').upper()}")
        with raising(self._address):
            reply = await self._stub.NextReviewItem(
                wire.NextReviewItemRequest(reason=wanted),
                metadata=self._metadata,
                timeout=self._timeout,
            )
        return ReviewItem.read(reply.item)

    async def complete(
        self, item_id: str, labels: Mapping[str, str], *, correction: str = "", comment: str = ""
    ) -> ReviewItem:
        """Question of the rubric -> choice."""
        request = wire.CompleteReviewRequest(
            item_id=item_id, labels=labels, correction=correction, comment=comment
        )
        return await self._complete(request)

    async def decline(self, item_id: str, *, comment: str = "") -> ReviewItem:
        """Somebody else will be asked."""
        request = wire.CompleteReviewRequest(item_id=item_id, declined=True, comment=comment)
        return await self._complete(request)

    async def summary(self) -> ReviewSummary:
        """How far the queue is, and how well reviewers agree."""
        with raising(self._address):
            reply = await self._stub.SummarizeReviews(
                wire.SummarizeReviewsRequest(), metadata=self._metadata, timeout=self._timeout
            )
        return ReviewSummary(
            reply.open_count,
            reply.done_count,
            reply.review_count,
            reply.declined_count,
            {
                one.question: (one.krippendorff_alpha, one.item_count, one.reviewer_count)
                for one in reply.agreements
            },
        )

    async def export(
        self, format: Format = "jsonl", *, only_done: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """One record an item, with its reviews."""
        request = wire.ExportReviewsRequest(format=_format(format), only_done=only_done)
        with raising(self._address):
            call = self._stub.ExportReviews(
                request, metadata=self._metadata, timeout=TRANSFER_TIMEOUT
            )
            async for reply in call:
                yield MessageToDict(reply.record)

    async def bring(
        self, records: Iterable[Mapping[str, Any]], format: Format = "jsonl"
    ) -> tuple[int, int]:
        """Imports; new items, and new or changed reviews. Importing again changes nothing."""
        with raising(self._address):
            reply = await self._stub.ImportReviews(
                _requests(records, format), metadata=self._metadata, timeout=TRANSFER_TIMEOUT
            )
        return reply.item_count, reply.review_count

    async def _complete(self, request: wire.CompleteReviewRequest) -> ReviewItem:
        with raising(self._address):
            reply = await self._stub.CompleteReview(
                request, metadata=self._metadata, timeout=self._timeout
            )
        return ReviewItem.read(reply.item)


async def _requests(
    records: Iterable[Mapping[str, Any]], format: Format
) -> AsyncIterator[wire.ImportReviewsRequest]:
    for record in records:
        request = wire.ImportReviewsRequest(format=_format(format))
        request.record.update(dict(record))
        yield request


def _format(name: Format) -> wire.ReviewFormat.ValueType:
    return wire.ReviewFormat.Value(f"REVIEW_FORMAT_{name.upper()}")
