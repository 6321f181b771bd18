"""Jobs as processes of this machine, in the model environment; they outlive this process."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from gyre_retraining.adapters import launcher
from gyre_retraining.adapters.job_folder import JobFolder
from gyre_retraining.domain.jobs import Order, Seen
from gyre_retraining.domain.trainings import Limits, TrainingImpossible

RUNNER = ("-m", "gyre_retraining.recipes", "run", "--job")
PAUSE = 0.1
# The clock of a job that nobody watches rings later than that of its watcher.
GRACE_MINUTES = 5.0
MEBIBYTE = 1024 * 1024
LOG = "job.log"


class LocalJobs:
    """`Jobs`: a folder for each, with a lock that its process holds until it ends.

    folder: of all jobs; processes of the service that share trainings share it. python: of the
    environment that trains. command: before the job's folder, in place of the runner.
    environment: beside what every process needs; nothing of this process is handed on.
    grace: seconds between the request to end and the end.
    """

    def __init__(
        self,
        folder: Path,
        python: Path,
        *,
        command: Sequence[str] = RUNNER,
        environment: Mapping[str, str] | None = None,
        grace: float = 30.0,
    ) -> None:
        self._folder = folder.absolute()
        self._python = python.absolute()
        self._command = tuple(command)
        self._environment = dict(environment or {})
        self._grace = grace
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, order: Order) -> None:
        await asyncio.to_thread(self._start, order)

    async def look(self, training_id: str) -> Seen:
        return await asyncio.to_thread(self._look, training_id)

    async def stop(self, training_id: str) -> None:
        place, told = self._place(training_id), False
        until = time.monotonic() + self._grace
        while await asyncio.to_thread(self._running, training_id):
            # A job that has just begun may not have written its number yet.
            told = told or _signal(place, signal.SIGTERM, tree=False)
            if time.monotonic() >= until:
                _signal(place, signal.SIGKILL, tree=True)
            await asyncio.sleep(PAUSE)

    async def clear(self, training_id: str) -> None:
        await asyncio.to_thread(JobFolder(self._place(training_id)).clear)

    def _place(self, training_id: str) -> Path:
        return self._folder / training_id

    def _start(self, order: Order) -> None:
        if not self._python.exists():
            raise TrainingImpossible(
                "no_model_environment", f"there is no {self._python}: set GYRE_MODELS_PYTHON"
            )
        place = self._place(order.training_id)
        with _alone(place):
            if not self._running(order.training_id):
                JobFolder(place).write(order)
                self._launch(order, place)

    def _launch(self, order: Order, place: Path) -> None:
        with (place / LOG).open("ab") as log:
            # Without `-S -I` the launcher would need a tenth of a second and read this environment.
            self._children[order.training_id] = subprocess.Popen(
                [
                    *(sys.executable, "-S", "-I", launcher.__file__, _limits(order.plan.limits)),
                    *(str(self._python), *self._command, str(place)),
                ],
                cwd=place,
                env=self._surroundings(place, order.plan.limits),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_lock(order.training_id)

    def _await_lock(self, training_id: str) -> None:
        """Otherwise a look right after the start would see no job."""
        child = self._children[training_id]
        while child.poll() is None and not self._locked(training_id):
            time.sleep(0.005)

    def _look(self, training_id: str) -> Seen:
        running = self._running(training_id)  # before its files: it writes them, then ends
        return JobFolder(self._place(training_id)).seen(running=running)

    def _running(self, training_id: str) -> bool:
        child = self._children.get(training_id)
        if child is not None and child.poll() is not None:
            del self._children[training_id]
        return self._locked(training_id)

    def _locked(self, training_id: str) -> bool:
        try:
            lock = os.open(self._place(training_id) / launcher.LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _surroundings(self, place: Path, limits: Limits) -> dict[str, str]:
        """Nothing of our own environment: it may hold secrets."""
        threads = {"OMP_NUM_THREADS": str(limits.threads)} if limits.threads else {}
        return {
            "PATH": os.pathsep.join(
                (str(self._python.parent), "/usr/local/bin", "/usr/bin", "/bin")
            ),
            "HOME": str(place),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **threads,
            **self._environment,
        }


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Nobody else starts this job meanwhile, in whatever process."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "starting").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _limits(limits: Limits) -> str:
    """The hard ones. The job itself sees to its resident memory and ends with a word; twice as much
    data, and what torch maps at its start, is where it would not."""
    memory = 2 * limits.memory_mb * MEBIBYTE + 2048 * MEBIBYTE if limits.memory_mb else 0
    minutes = limits.minutes + GRACE_MINUTES if limits.minutes else 0
    return json.dumps({"nice": limits.nice, "memory_bytes": memory, "seconds": int(minutes * 60)})


def _signal(place: Path, number: signal.Signals, *, tree: bool) -> bool:
    """To the job that was started, never to a stranger who has its number by now. tree: to all
    that it started, too."""
    try:
        written = json.loads((place / launcher.PROCESS).read_text())
        job = psutil.Process(written["pid"])
        if launcher.start_of(job.pid) != written["start"]:
            return False
        others = job.children(recursive=True) if tree else []
    except (FileNotFoundError, psutil.NoSuchProcess):
        return False
    for process in (job, *others):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    return True
