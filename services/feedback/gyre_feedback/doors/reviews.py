"""The gRPC door of the review queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from gyre.feedback.v1 import service_pb2 as wire
from gyre_runtime.identity import current_principal

from gyre_feedback.domain.reviews import Review
from gyre_feedback.doors.faults import faults, tenant
from gyre_feedback.use_cases.reviewing import ReviewQueue
from gyre_feedback.use_cases.transfer import Format, TransferReviews
from gyre_feedback.wire.replies import agreement_to, item_to, reason_from
from gyre_feedback.wire.times import stamp

Context = grpc.aio.ServicerContext[Any, Any]


class ReviewDoor:
    """The part of FeedbackService that reviewers use."""

    def __init__(self, queue: ReviewQueue, transfer: TransferReviews) -> None:
        self._queue, self._transfer = queue, transfer

    async def AddReviewItem(
        self, request: wire.AddReviewItemRequest, context: Context
    ) -> wire.AddReviewItemResponse:
        with faults():
            item = await self._queue.ask(tenant(), request.answer_id)
        return wire.AddReviewItemResponse(item=item_to(item))

    async def NextReviewItem(
        self, request: wire.NextReviewItemRequest, context: Context
    ) -> wire.NextReviewItemResponse:
        who = current_principal()
        with faults():
            reason = reason_from(request.reason)
            item, until = await self._queue.claim(who.tenant, who.name, reason)
        return wire.NextReviewItemResponse(item=item_to(item), claim_end_time=stamp(until))

    async def CompleteReview(
        self, request: wire.CompleteReviewRequest, context: Context
    ) -> wire.CompleteReviewResponse:
        who = current_principal()
        review = Review(
            request.item_id,
            who.name,
            request.declined,
            dict(request.labels),
            request.correction,
            request.comment,
        )
        with faults():
            item = await self._queue.complete(who.tenant, review)
        return wire.CompleteReviewResponse(item=item_to(item))

    async def SummarizeReviews(
        self, request: wire.SummarizeReviewsRequest, context: Context
    ) -> wire.SummarizeReviewsResponse:
        summary = await self._queue.summary(tenant())
        return wire.SummarizeReviewsResponse(
            open_count=summary.open_items,
            done_count=summary.done_items,
            review_count=summary.completed,
            declined_count=summary.declined,
            agreements=map(agreement_to, summary.agreements),
        )

    async def ExportReviews(
        self, request: wire.ExportReviewsRequest, context: Context
    ) -> AsyncIterator[wire.ExportReviewsResponse]:
        with faults():
            kind = _format(request.format)
            records = self._transfer.export(tenant(), kind, only_done=request.only_done)
            async with aclosing(records):
                async for record in records:
                    reply = wire.ExportReviewsResponse()
                    reply.record.update(record)
                    yield reply

    async def ImportReviews(
        self, requests: AsyncIterator[wire.ImportReviewsRequest], context: Context
    ) -> wire.ImportReviewsResponse:
        whose, kind = tenant(), None
        items = reviews = 0
        with faults():
            async for request in requests:
                kind = kind or _format(request.format)
                new, changed = await self._transfer.bring(
                    whose, kind, MessageToDict(request.record)
                )
                items, reviews = items + new, reviews + changed
        return wire.ImportReviewsResponse(item_count=items, review_count=reviews)


def _format(value: wire.ReviewFormat.ValueType) -> Format:
    labels = value == wire.REVIEW_FORMAT_LABEL_STUDIO
    return Format.LABEL_STUDIO if labels else Format.JSONL
