"""A cluster of one machine behind the words of `kubectl`: what is applied is recorded, and its job
runs as a process here.

FAKE_CLUSTER: its folder. `away` in it: nobody answers. `refuses` in it: what it says to `apply`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

CLUSTER = Path(os.environ["FAKE_CLUSTER"])
JOB = Path(__file__).with_name("tiny_job.py")
TRAINS = ("Job", "TrainJob")


def main(words: list[str]) -> None:
    namespace, verb, rest = words[1], words[2], words[3:]
    with (CLUSTER / "calls").open("a") as calls:
        calls.write(json.dumps([verb, namespace, *rest]) + "\n")
    if (CLUSTER / "away").exists():
        sys.exit("The connection to the server was refused")
    if verb == "apply":
        apply(sys.stdin.read())
    elif verb == "get":
        get(rest[1])
    elif verb == "delete":
        delete(rest[rest.index("--selector") + 1].partition("=")[2])


def apply(text: str) -> None:
    if (CLUSTER / "refuses").exists():
        sys.exit((CLUSTER / "refuses").read_text())
    for number, manifest in enumerate(yaml.safe_load_all(text)):
        name = manifest["metadata"]["name"]
        (CLUSTER / f"{name}.{number}.applied.yaml").write_text(yaml.safe_dump(manifest))
        if manifest["kind"] in TRAINS:
            process = subprocess.Popen(
                [sys.executable, str(JOB), folder_of(manifest)],
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            found = {"pid": process.pid, "folder": folder_of(manifest), "labels": labels(manifest)}
            (CLUSTER / f"{name}.json").write_text(json.dumps(found))


def folder_of(manifest: dict[str, Any]) -> str:
    spec = manifest["spec"]
    trainer = spec.get("trainer") or spec["template"]["spec"]["containers"][0]
    return str(trainer["command"][-1])


def labels(manifest: dict[str, Any]) -> dict[str, str]:
    return dict(manifest["metadata"]["labels"])


def get(name: str) -> None:
    file = CLUSTER / f"{name}.json"
    if not file.exists():
        return
    found = json.loads(file.read_text())
    conditions = []
    if not alive(found["pid"]):
        well = (Path(found["folder"]) / "result.json").exists()
        kind, reason = ("Complete", "Complete") if well else ("Failed", "PodFailurePolicy")
        conditions = [{"type": kind, "status": "True", "reason": reason}]
    print(json.dumps({"metadata": {"name": name}, "status": {"conditions": conditions}}))


def delete(training_id: str) -> None:
    for file in CLUSTER.glob("*.json"):
        found = json.loads(file.read_text())
        if found["labels"]["gyre.training"] == training_id:
            end(found["pid"])
            file.unlink()


def end(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(40):
            if not alive(pid):
                return
            os.kill(pid, number)
            time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


if __name__ == "__main__":
    main(sys.argv[1:])
