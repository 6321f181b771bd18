"""Jobs on a Kubernetes cluster, by `kubectl`; folders lie on a volume that both sides mount."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml

from gyre_retraining.adapters.job_folder import JobFolder
from gyre_retraining.adapters.manifests import Cluster, manifests, name_of
from gyre_retraining.domain.jobs import JobState, Order, Seen
from gyre_retraining.domain.trainings import TrainingImpossible
from gyre_retraining.ports import JobsUnavailable

# The cluster would say the same again.
FOR_GOOD = ("(Invalid)", "(Forbidden)", "error validating", "no matches for kind")
RESOURCES = {"job": "jobs.batch", "trainjob": "trainjobs.trainer.kubeflow.org"}


class KubernetesJobs:
    """`Jobs`. folder: of all jobs, below the cluster's mount. kubectl: the program; it finds the
    cluster as it does for people. timeout: seconds of one call, beside a job's grace."""

    def __init__(
        self, folder: Path, cluster: Cluster, *, kubectl: str = "kubectl", timeout: float = 60.0
    ) -> None:
        self._folder = folder.absolute()
        self._cluster = cluster
        self._kubectl = kubectl
        self._timeout = timeout

    async def start(self, order: Order) -> None:
        found = await self._find(order.training_id)
        if found is not None and _end_of(found) is None:
            return
        if found is not None:  # it ended; its name must be free for the next one
            await self._delete(order.training_id)
        folder = self._job(order.training_id)
        await asyncio.to_thread(folder.write, order)
        wanted = manifests(order, str(folder.path), self._cluster)
        await self._ask("apply", "--filename", "-", given=yaml.safe_dump_all(wanted))

    async def look(self, training_id: str) -> Seen:
        found = await self._find(training_id)
        end = None if found is None else _end_of(found)
        running = found is not None and end is None
        seen = await asyncio.to_thread(self._job(training_id).seen, running=running)
        if seen.state is JobState.ABSENT and end == "DeadlineExceeded":
            return Seen(JobState.FAILED, seen.progress, "too_long", "the cluster ended it in time")
        return seen

    async def stop(self, training_id: str) -> None:
        await self._delete(training_id)

    async def clear(self, training_id: str) -> None:
        await self._delete(training_id)
        await asyncio.to_thread(self._job(training_id).clear)

    def _job(self, training_id: str) -> JobFolder:
        return JobFolder(self._folder / training_id)

    async def _find(self, training_id: str) -> dict[str, Any] | None:
        kind, name = RESOURCES[self._cluster.kind], name_of(training_id)
        told = await self._ask("get", kind, name, "--ignore-not-found", "--output", "json")
        return json.loads(told) if told.strip() else None

    async def _delete(self, training_id: str) -> None:
        """Waits for its pods, which have their grace."""
        kinds = f"{RESOURCES[self._cluster.kind]},services"
        await self._ask(
            *("delete", kinds, "--selector", f"gyre.training={training_id}"),
            *("--ignore-not-found", "--cascade=foreground", "--wait"),
        )

    async def _ask(self, *words: str, given: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *(self._kubectl, "--namespace", self._cluster.namespace, *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._timeout + self._cluster.grace):
                told, wrong = await process.communicate(given.encode())
        except BaseException as error:
            process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise JobsUnavailable(f"kubectl {words[0]} takes too long") from error
            raise
        if process.returncode:
            said = wrong.decode(errors="replace").strip()[-500:]
            if any(sign in said for sign in FOR_GOOD):
                raise TrainingImpossible("refused_by_cluster", said)
            raise JobsUnavailable(f"kubectl {words[0]}: {said}")
        return told.decode()


def _end_of(found: dict[str, Any]) -> str | None:
    """Why it ended; None where it has not."""
    for condition in found.get("status", {}).get("conditions", []):
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return str(condition.get("reason") or condition["type"])
    return None
