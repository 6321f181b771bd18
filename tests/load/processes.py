"""Memory and time to ready of every service process: goal 150 MB and 3 s, as none holds a model.

The servers run; each service is started alone, `--rounds` times. Ready is when its gRPC health
check says SERVING. Memory is the resident set of the process at that moment; that of its children
(ingestion parses in processes of their own) stands beside it.

    python -m tests.load.processes [--rounds 5]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from gyre_local.platform import SERVERS, SERVICES
from gyre_local.program import Program

from tests.load.report import Report, parser, progress
from tests.platform.running import RunningPlatform

MEMORY_GOAL, READY_GOAL = 150, 3
PATIENCE = 60.0


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    report = Report("processes")
    with tempfile.TemporaryDirectory() as folder:
        platform = RunningPlatform(Path(folder), only=(*SERVERS, "provisioner"))
        try:
            platform.start()
            for name in SERVICES:
                measure(platform.program(name), Path(folder), rounds, report)
        finally:
            platform.stop()
    report.save()


def measure(program: Program, folder: Path, rounds: int, report: Report) -> None:
    found = []
    for number in range(rounds):
        found.append(start_once(program, folder / f"{program.name}-load.log"))
        progress(f"started {program.name}", number + 1, rounds)
    seconds, memory, below = (statistics.median(values) for values in zip(*found, strict=True))
    report.at_most(f"{program.name}: time to ready", seconds, "s", READY_GOAL)
    report.at_most(f"{program.name}: memory", memory, "MB", MEMORY_GOAL)
    if below:
        report.add(f"{program.name}: memory of its children", below, "MB")


def start_once(program: Program, log: Path) -> tuple[float, float, float]:
    """Seconds to ready, MB of the process, MB of its children."""
    with log.open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            tuple(program.command),
            env={**os.environ, **program.environment},
            stdout=output,
            stderr=output,
        )
    try:
        while not program.healthy():
            if process.poll() is not None or time.perf_counter() - started > PATIENCE:
                raise SystemExit(f"{program.name} does not get ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        return seconds, resident(process.pid), sum(map(resident, children(process.pid)))
    finally:
        process.terminate()
        process.wait(60)


def resident(pid: int) -> float:
    """Megabytes of memory that the process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def children(pid: int) -> list[int]:
    """Ids of the processes that it started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


if __name__ == "__main__":
    main()
