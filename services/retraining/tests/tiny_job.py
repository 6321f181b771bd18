"""A job that keeps every promise of a job and learns nothing: FOLDER as its argument.

TINY_PAUSE: seconds of a step. TINY_FAILS: it says why and ends. TINY_MUTE: it ends without a word.
TINY_DEAF: it does not end when it is told to. TINY_EATS: bytes that it takes at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

STOPPED, FAILED = 75, 2
HEADER = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def main(folder: Path) -> None:
    if os.environ.get("TINY_DEAF"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
    if "TINY_FAILS" in os.environ:
        write(folder / "error.json", {"reason": os.environ["TINY_FAILS"], "detail": "as told"})
        sys.exit(FAILED)
    if "TINY_MUTE" in os.environ:
        sys.exit(1)
    if "TINY_EATS" in os.environ:
        bytearray(int(os.environ["TINY_EATS"]))
    (folder / "surroundings.json").write_text(json.dumps(surroundings()))
    learn(folder, json.loads((folder / "job.json").read_text()))


def surroundings() -> dict[str, Any]:
    group = Path("/proc/self/autogroup")
    return {
        "environment": dict(os.environ),
        "nice": os.nice(0),
        "session": group.read_text().split()[-1] if group.exists() else str(os.nice(0)),
        "pid": os.getpid(),
    }


def learn(folder: Path, job: dict[str, Any]) -> None:
    steps = job["recipe"]["training"]["max_steps"]
    checkpoint = folder / "checkpoints" / "step"
    checkpoint.parent.mkdir(exist_ok=True)
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    with (folder / "progress.jsonl").open("a") as progress:
        while step < steps:
            time.sleep(float(os.environ.get("TINY_PAUSE", "0")))
            step += 1
            line = {"time": "now", "step": step, "steps": steps, "loss": 1 / step, "metrics": {}}
            progress.write(json.dumps(line) + "\n")
            progress.flush()
            write(checkpoint, step)
    output = Path(job["output"])
    output.mkdir(exist_ok=True)
    weights = len(HEADER).to_bytes(8, "little") + HEADER + step.to_bytes(4, "little")
    (output / "model.safetensors").write_bytes(weights)
    (output / "config.json").write_text('{"architectures": ["Tiny"], "hidden_size": 1}')
    metrics = {"eval_loss": 1 / steps}
    result = {"steps": steps, "metrics": metrics, "peak_memory_bytes": 1 << 20, "seconds": 1.5}
    write(folder / "result.json", result)


def write(path: Path, content: Any) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content))
    part.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
