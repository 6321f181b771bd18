"""`python -m gyre_features FOLDER ONLINE`: answers questions on standard input, one JSON object a
line, until it ends, as `gyre_runtime.worker` asks them. Feast needs seconds to load and hundreds of
megabytes, so it lives in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any


def main() -> None:
    """Standard output is for answers alone: whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    folder, online = sys.argv[1:]
    from gyre_features.store import Features, Place

    features = Features(Place(Path(folder).absolute(), online))
    _say(answers, {"ready": True})
    for line in sys.stdin:
        _say(answers, answer(features, json.loads(line)))


def answer(features: Any, question: dict[str, Any]) -> dict[str, Any]:
    """`{"ok": ...}`, or `{"error": ...}` with what went wrong."""
    given = question["given"]
    kind, rows = given["kind"], given["rows"]
    try:
        match question["job"]:
            case "write":
                features.write(kind, rows, given["batch"])
                return {"ok": len(rows)}
            case "now":
                return {"ok": features.now(kind, rows)}
            case "then":
                return {"ok": features.then(kind, rows)}
            case other:
                return {"error": f"{other!r} is no question"}
    except Exception as error:  # whatever Feast or its store raises is for the asker to know
        return {"error": f"{type(error).__name__}: {error}"}


def _say(answers: IO[str], value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
