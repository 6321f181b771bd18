"""Intervals, pages and the book of experiments, made in the worker's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gyre_runtime.worker import JobFailed, Worker

from gyre_evaluation.domain.comparison import Agreement, Interval
from gyre_evaluation.ports import ScoringUnavailable


class WorkerStatistics:
    """`Statistics`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def means(self, values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
        return await self._intervals("means", values)

    async def differences(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Interval]:
        return await self._intervals("differences", pairs)

    async def agreements(
        self, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    ) -> dict[str, Agreement]:
        found = await self._ask("agreements", pairs) if pairs else {}
        return {key: Agreement(**one) for key, one in found.items()}

    async def _intervals(self, job: str, given: Any) -> dict[str, Interval]:
        if not given:
            return {}
        found = await self._ask(job, given)
        return {key: Interval(**one) for key, one in found.items()}

    async def _ask(self, job: str, given: Any) -> Any:
        try:
            return await self._worker.ask(job, given)
        except JobFailed as error:
            raise ScoringUnavailable(str(error)) from error


class WorkerReportPages:
    """`ReportPages`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def page(self, report: Mapping[str, Any]) -> bytes:
        return str(await self._worker.ask("page", report)).encode()


class MlflowTracker:
    """`Tracker`. uri: empty notes nothing."""

    def __init__(self, worker: Worker, uri: str) -> None:
        self._worker = worker
        self._uri = uri

    async def track(self, report: Mapping[str, Any], page: bytes) -> None:
        if self._uri:
            given = {"uri": self._uri, "report": report, "page": page.decode()}
            await self._worker.ask("track", given)
