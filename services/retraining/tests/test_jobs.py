"""Where jobs run: one promise, kept by the twin, by processes of this machine and by a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from gyre_retraining.adapters import launcher
from gyre_retraining.adapters.job_folder import JobFolder
from gyre_retraining.adapters.jobs_kubernetes import KubernetesJobs
from gyre_retraining.adapters.jobs_local import LocalJobs
from gyre_retraining.adapters.manifests import Cluster
from gyre_retraining.adapters.memory import MemoryJobs
from gyre_retraining.domain.jobs import JobState
from gyre_retraining.domain.trainings import Progress, TrainingImpossible
from gyre_retraining.ports import Jobs, JobsUnavailable

sys.path.append(str(Path(__file__).parent))
from training_world import eventually, order, plan

HERE = Path(__file__).parent
TINY = (str(HERE / "tiny_job.py"),)
STEPS = plan(training={"max_steps": 6})


def local(folder: Path, **environment: str) -> LocalJobs:
    python = Path(sys.executable)
    return LocalJobs(folder / "jobs", python, command=TINY, environment=environment, grace=10.0)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, and `kubectl` on it."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "fake_kubectl.py"}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("FAKE_CLUSTER", str(folder))
    return folder


def kubernetes(cluster: Path, **given: Any) -> KubernetesJobs:
    about = Cluster("training", "gyre/models:1", "gyre", str(cluster.parent), **given)
    return KubernetesJobs(cluster.parent / "jobs", about, kubectl=str(cluster / "kubectl"))


@pytest.fixture(params=["memory", "local", "job", "trainjob"])
async def jobs(
    request: pytest.FixtureRequest, tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Jobs]:
    monkeypatch.setenv("TINY_PAUSE", "0.5")  # on the cluster, where every word takes longer
    if request.param == "memory":
        yield MemoryJobs()
        return
    made: Jobs = local(tmp_path, TINY_PAUSE="0.1")
    if request.param != "local":
        made = kubernetes(cluster, kind=request.param)
    yield made
    await made.stop("t-1")


async def seen(jobs: Jobs, state: JobState) -> Progress:
    """Waits until it is so."""
    if isinstance(jobs, MemoryJobs) and state is JobState.SUCCEEDED:
        jobs.finish("t-1")

    async def is_so() -> bool:
        return (await jobs.look("t-1")).state is state

    await eventually(is_so)
    return (await jobs.look("t-1")).progress


async def begun(jobs: Jobs, step: int = 2) -> None:
    """Waits until it did so many steps."""
    if isinstance(jobs, MemoryJobs):
        jobs.advance("t-1", step, 6, 0.5)

    async def is_so() -> bool:
        return (await jobs.look("t-1")).progress.step >= step

    await eventually(is_so)


async def test_a_job_that_never_was_is_absent(jobs: Jobs) -> None:
    assert (await jobs.look("t-1")).state is JobState.ABSENT
    await jobs.stop("t-1")


async def test_a_job_runs_tells_how_far_it_is_and_leaves_a_result(
    jobs: Jobs, tmp_path: Path
) -> None:
    await jobs.start(order("t-1", tmp_path, STEPS))
    assert (await jobs.look("t-1")).state is JobState.RUNNING
    await begun(jobs)
    progress = await seen(jobs, JobState.SUCCEEDED)
    assert progress.step == progress.steps
    result = (await jobs.look("t-1")).result
    assert result is not None
    assert result.steps == progress.steps


async def test_a_job_that_runs_is_not_started_twice(jobs: Jobs, tmp_path: Path) -> None:
    wanted = order("t-1", tmp_path, STEPS)
    await jobs.start(wanted)
    await begun(jobs)
    before = processes(jobs, tmp_path)
    await jobs.start(wanted)
    assert processes(jobs, tmp_path) == before
    assert (await jobs.look("t-1")).state is JobState.RUNNING


async def test_a_stopped_job_is_absent_and_goes_on_where_it_was(jobs: Jobs, tmp_path: Path) -> None:
    wanted = order("t-1", tmp_path, STEPS)
    await jobs.start(wanted)
    await begun(jobs)
    await jobs.stop("t-1")
    stopped = await jobs.look("t-1")
    assert stopped.state is JobState.ABSENT
    assert stopped.progress.step >= 2
    await jobs.start(wanted)
    await seen(jobs, JobState.SUCCEEDED)
    if not isinstance(jobs, MemoryJobs):
        assert steps_of(tmp_path) == [1, 2, 3, 4, 5, 6]


async def test_a_finished_job_leaves_its_figures_when_it_is_cleared(
    jobs: Jobs, tmp_path: Path
) -> None:
    await jobs.start(order("t-1", tmp_path, STEPS))
    await seen(jobs, JobState.SUCCEEDED)
    await jobs.clear("t-1")
    await jobs.clear("t-1")
    assert not (tmp_path / "jobs" / "t-1" / "checkpoints").exists()
    assert (await jobs.look("t-1")).state is JobState.SUCCEEDED


def processes(jobs: Jobs, folder: Path) -> object:
    if isinstance(jobs, MemoryJobs):
        return jobs.jobs["t-1"].starts
    return json.loads((folder / "jobs" / "t-1" / "surroundings.json").read_text())["pid"]


def steps_of(folder: Path) -> list[int]:
    lines = (folder / "jobs" / "t-1" / "progress.jsonl").read_text().splitlines()
    return [json.loads(one)["step"] for one in lines]


def process_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "jobs" / "t-1" / "process.json").read_text())
    return found


async def test_a_job_gets_nothing_of_the_services_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GYRE_NATS_PASSWORD", "secret")
    jobs = local(tmp_path, CUDA_VISIBLE_DEVICES="0")
    limits = {"threads": 1, "nice": 7}
    await jobs.start(order("t-1", tmp_path, plan(limits=limits)))
    await seen(jobs, JobState.SUCCEEDED)
    found = json.loads((tmp_path / "jobs" / "t-1" / "surroundings.json").read_text())
    assert "secret" not in found["environment"].values()
    assert found["environment"]["OMP_NUM_THREADS"] == "1"
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["nice"] == os.nice(0) + 7
    assert found["session"] == str(found["nice"])  # where sessions are scheduled as one


async def test_a_job_that_takes_far_more_memory_than_it_may_is_ended(tmp_path: Path) -> None:
    limits = {"memory_mb": 100}
    more = local(tmp_path / "more", TINY_EATS=str(3000 << 20))
    await more.start(order("t-1", tmp_path, plan(limits=limits)))
    await seen(more, JobState.ABSENT)
    assert b"MemoryError" in (tmp_path / "more" / "jobs" / "t-1" / "job.log").read_bytes()
    within = local(tmp_path / "within", TINY_EATS=str(50 << 20))
    await within.start(order("t-1", tmp_path, plan(limits=limits)))
    await seen(within, JobState.SUCCEEDED)


async def test_a_job_that_fails_leaves_its_reason_until_it_is_started_anew(tmp_path: Path) -> None:
    await local(tmp_path, TINY_FAILS="bad_dataset").start(order("t-1", tmp_path))
    jobs = local(tmp_path)
    await seen(jobs, JobState.FAILED)
    assert (await jobs.look("t-1")).reason == "bad_dataset"
    await jobs.start(order("t-1", tmp_path))
    await seen(jobs, JobState.SUCCEEDED)


async def test_a_job_that_ends_without_a_word_is_absent(tmp_path: Path) -> None:
    jobs = local(tmp_path, TINY_MUTE="1")
    await jobs.start(order("t-1", tmp_path))
    await seen(jobs, JobState.ABSENT)


async def test_a_deaf_job_is_killed_after_its_grace(tmp_path: Path) -> None:
    jobs = LocalJobs(
        tmp_path / "jobs",
        Path(sys.executable),
        command=TINY,
        environment={"TINY_DEAF": "1", "TINY_PAUSE": "0.05"},
        grace=0.5,
    )
    endless = plan(training={"max_steps": 100_000})
    await jobs.start(order("t-1", tmp_path, endless))
    await begun(jobs)
    pid = process_of(tmp_path)["pid"]
    await jobs.stop("t-1")
    assert (await jobs.look("t-1")).state is JobState.ABSENT
    assert not running(pid)


async def test_a_job_outlives_who_started_it_and_is_found_again(tmp_path: Path) -> None:
    """The starter is killed right after the start, before it could note anything."""
    starter = f"""
import asyncio, os, sys
sys.path.append({str(HERE)!r})
from pathlib import Path
from test_jobs import STEPS, local
from training_world import order
folder = Path({str(tmp_path)!r})
asyncio.run(local(folder, TINY_PAUSE="0.2").start(order("t-1", folder, STEPS)))
os.kill(os.getpid(), 9)
"""
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", starter], check=False)
    assert done.returncode == -signal.SIGKILL
    jobs = local(tmp_path, TINY_PAUSE="0.2")
    assert (await jobs.look("t-1")).state is JobState.RUNNING
    pid = process_of(tmp_path)["pid"]
    await jobs.start(order("t-1", tmp_path, STEPS))
    assert process_of(tmp_path)["pid"] == pid
    await seen(jobs, JobState.SUCCEEDED)
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5, 6]


async def test_a_killed_job_goes_on_at_its_checkpoint(tmp_path: Path) -> None:
    jobs = local(tmp_path, TINY_PAUSE="0.1")
    await jobs.start(order("t-1", tmp_path, STEPS))
    await begun(jobs, 3)
    os.kill(process_of(tmp_path)["pid"], signal.SIGKILL)
    await seen(jobs, JobState.ABSENT)
    done = int((tmp_path / "jobs" / "t-1" / "checkpoints" / "step").read_text())
    await jobs.start(order("t-1", tmp_path, STEPS))
    await seen(jobs, JobState.SUCCEEDED)
    again = steps_of(tmp_path)
    assert again[-(6 - done) :] == list(range(done + 1, 7))
    assert len(again) - 6 <= 1  # the step that was told and not yet kept


async def test_a_stranger_with_the_jobs_number_is_left_alone(tmp_path: Path) -> None:
    jobs = local(tmp_path, TINY_PAUSE="0.1")
    await jobs.start(order("t-1", tmp_path, STEPS))
    await begun(jobs)
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    written = tmp_path / "jobs" / "t-1" / "process.json"
    real = process_of(tmp_path)
    written.write_text(json.dumps({**real, "pid": stranger.pid}))
    stopping = asyncio.create_task(jobs.stop("t-1"))
    await asyncio.sleep(0.3)
    assert stranger.returncode is None
    written.write_text(json.dumps(real))
    await stopping
    stranger.kill()
    assert await stranger.wait() == -signal.SIGKILL


async def test_two_that_start_the_same_job_at_once_start_one(tmp_path: Path) -> None:
    many = [local(tmp_path, TINY_PAUSE="2") for _ in range(4)]
    wanted = order("t-1", tmp_path, STEPS)
    await asyncio.gather(*(one.start(wanted) for one in many))
    await begun(many[0], 1)
    await asyncio.sleep(1.2)  # a launcher that cannot have the lock gives up after a second
    marks = [str(tmp_path / "jobs" / "t-1"), "tiny_job.py"]
    found = [one for one in psutil.process_iter() if all(m in words(one) for m in marks)]
    assert len(found) == 1
    await many[0].stop("t-1")


def words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def test_an_environment_that_is_not_there_is_named(tmp_path: Path) -> None:
    jobs = LocalJobs(tmp_path, tmp_path / "python")
    with pytest.raises(TrainingImpossible, match="GYRE_MODELS_PYTHON"):
        await jobs.start(order("t-1", tmp_path))


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_process_is_known_by_its_start() -> None:
    own = launcher.start_of(os.getpid())
    assert own
    assert own == launcher.start_of(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as later:
        assert launcher.start_of(later.pid) not in ("", own)
        later.kill()
    assert launcher.start_of(2**22 + 1) == ""


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (b"", Progress()),
        (b'{"step": 1, "steps": 4, "loss": 2.5}\n{"step": 2, "st', Progress(1, 4, 2.5)),
        (
            b'{"step": 3, "steps": 4, "loss": NaN, "metrics": {"a": 1}}\n',
            Progress(3, 4, 0.0, {"a": 1.0}),
        ),
        (
            b'{"step": 1, "steps": 2, "loss": 1.0, "metrics": {"a": 1}}\n'
            b'{"step": 2, "steps": 2, "loss": null, "metrics": {"b": 2}}\n',
            Progress(2, 2, 1.0, {"a": 1.0, "b": 2.0}),
        ),
    ],
)
def test_progress_is_read_as_far_as_it_is_written(
    tmp_path: Path, lines: bytes, wanted: Progress
) -> None:
    (tmp_path / "progress.jsonl").write_bytes(lines)
    assert JobFolder(tmp_path).seen(running=True).progress == wanted


async def test_a_cluster_that_does_not_answer_is_asked_again_later(
    cluster: Path, tmp_path: Path
) -> None:
    jobs = kubernetes(cluster)
    (cluster / "away").touch()
    for call in (jobs.look("t-1"), jobs.start(order("t-1", tmp_path)), jobs.stop("t-1")):
        with pytest.raises(JobsUnavailable, match="refused"):
            await call


async def test_a_job_that_the_cluster_will_never_take_is_impossible(
    cluster: Path, tmp_path: Path
) -> None:
    (cluster / "refuses").write_text("Error from server (Forbidden): jobs.batch is forbidden")
    with pytest.raises(TrainingImpossible, match="forbidden"):
        await kubernetes(cluster).start(order("t-1", tmp_path))


async def test_kubectl_is_asked_in_the_namespace_and_given_the_manifests(
    cluster: Path, tmp_path: Path
) -> None:
    jobs = kubernetes(cluster)
    await jobs.start(order("t-1", tmp_path, STEPS))
    await seen(jobs, JobState.SUCCEEDED)
    await jobs.clear("t-1")
    calls = [json.loads(one) for one in (cluster / "calls").read_text().splitlines()]
    assert {one[1] for one in calls} == {"training"}
    assert [one[0] for one in calls if one[0] != "get"] == ["apply", "delete"]
    assert (cluster / "gyre-t-1.0.applied.yaml").exists()
    assert not (cluster / "gyre-t-1.json").exists()
