"""The processes of one job: their surroundings, and several of them on one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from gyre_retraining.recipes.ending import ENDED, FAILED, STOPPED, JobError
from gyre_retraining.recipes.job import Job, write_error
from gyre_retraining.recipes.schema import Limits

AUTOGROUP = Path("/proc/self/autogroup")
# No hub is asked and nobody is told what is trained: TRL sends telemetry otherwise.
_SURROUNDINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that wait give the core away: beside other programs they would wait for each other.
    "OMP_WAIT_POLICY": "PASSIVE",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "DO_NOT_TRACK": "true",
}


def settle(limits: Limits) -> None:
    """Politeness and threads of this process; before torch is imported."""
    os.environ.update(_SURROUNDINGS)
    if limits.threads:
        os.environ["OMP_NUM_THREADS"] = str(limits.threads)
    be_nice(limits.nice)


def be_nice(niceness: int) -> None:
    """At least so nice: this process and, where Linux groups processes by session, its session,
    beside which the process's own niceness counts for nothing (sched(7), autogroup)."""
    niceness = os.nice(max(0, niceness - os.nice(0)))
    own = os.getsid(0) == os.getpid() or "RANK" in os.environ  # torchrun's, else a person's shell
    with suppress(OSError):  # another system, or no such groups
        if own:
            AUTOGROUP.write_text(str(niceness))


def leads() -> bool:
    """Whether this process tells and writes for all of them."""
    return int(os.environ.get("RANK", "0")) == 0


def must_launch(job: Job) -> bool:
    """Whether the job wants several processes and this is none of them yet (torchrun's marks)."""
    return job.recipe.accelerate.processes > 1 and "RANK" not in os.environ


def launch(job: Job) -> int:
    """Runs the job's processes by torchrun, tells them to stop when told so; the exit code."""
    child = subprocess.Popen(_command(job), start_new_session=True)
    told: list[int] = []

    def stop(number: int, _frame: object) -> None:
        told.append(number)
        for process in _workers(child.pid):
            os.kill(process, number)

    signal.signal(signal.SIGTERM, stop)
    code = child.wait()
    if job.result.exists():
        return ENDED
    if told:
        return STOPPED
    if not job.error.exists():
        write_error(job.folder, JobError("crashed", f"the processes ended with code {code}"))
    return FAILED


def _command(job: Job) -> list[str]:
    count = str(job.recipe.accelerate.processes)
    runner = ("torch.distributed.run", "--standalone", "--nproc-per-node", count)
    return [
        *(sys.executable, "-m", *runner),
        *("-m", "gyre_retraining.recipes", "run", "--job", str(job.folder)),
    ]


def _workers(launcher: int) -> list[int]:
    """torchrun itself is not told: it would kill its processes in the middle of a checkpoint."""
    listed = Path(f"/proc/{launcher}/task/{launcher}/children").read_text()
    return [int(process) for process in listed.split()]
