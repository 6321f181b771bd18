"""Becomes a job: `launcher.py LIMITS PROGRAM ARGUMENT...`, in its folder, standard library only.

LIMITS (JSON): nice, memory_bytes, seconds; 0 is no limit. The lock that it takes lives as long as
the job: whoever cannot take it knows that the job runs, even where the service was killed between
starting it and writing that down.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

LOCK, PROCESS = "lock", "process.json"
AUTOGROUP = Path("/proc/self/autogroup")
RUNS_ALREADY = 0
TRIES, PAUSE = 20, 0.05


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    if not taken(lock):
        sys.exit(RUNS_ALREADY)
    os.set_inheritable(lock, True)
    part = Path(PROCESS + ".part")
    part.write_text(json.dumps({"pid": os.getpid(), "start": start_of(os.getpid())}))
    part.replace(PROCESS)
    if limits["nice"]:
        be_nice(limits["nice"])
    if limits["memory_bytes"]:
        # Of data, not of addresses: libraries and accelerators reserve much and never use it.
        resource.setrlimit(resource.RLIMIT_DATA, (limits["memory_bytes"],) * 2)
    if limits["seconds"]:
        # Kept by `exec`: it ends the job where nobody is there to look at the clock.
        signal.alarm(limits["seconds"])
    os.execv(command[0], command)


def taken(lock: int) -> bool:
    """Who only looks whether a job runs holds the lock for a moment: a job holds it on."""
    for _ in range(TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(PAUSE)
    return False


def be_nice(more: int) -> None:
    """Gives way to others. Where Linux groups processes by session, `nice` counts only within the
    job's own session, and the session has a niceness of its own (sched(7), autogroup)."""
    niceness = os.nice(more)
    for _ in range(TRIES):
        try:
            AUTOGROUP.write_text(str(niceness))
        except BlockingIOError:  # the kernel takes ten of these a second, of all sessions
            time.sleep(PAUSE)
        except OSError:  # another system, or no such groups
            return
        else:
            return


def start_of(pid: int) -> str:
    """When the process started, in ticks since the machine's own start, with that start's id:
    a number of a process comes again, this does not. Empty where it is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return f"{boot}/{stat.rpartition(')')[2].split()[19]}"


if __name__ == "__main__":
    main()
