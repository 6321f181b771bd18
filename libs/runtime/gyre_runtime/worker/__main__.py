"""`python -m gyre_runtime.worker MODULE MEMORY`: the child. Runs the jobs that the table `JOBS` of
a module names (job -> `module:function`, JSON in, JSON out), imported when first asked for."""

from __future__ import annotations

import os
import resource
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

import orjson


def main() -> None:
    module, memory = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    source, sink = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    jobs: Mapping[str, str] = import_module(module).JOBS
    _say(sink, {"ready": True})
    while line := source.readline():
        _say(sink, _answer(jobs, orjson.loads(line)))


def _answer(jobs: Mapping[str, str], question: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, function = jobs[question["job"]].partition(":")
        return {"ok": getattr(import_module(module), function)(question["given"])}
    except Exception as error:  # the parent raises it
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _say(sink: BinaryIO, answer: dict[str, Any]) -> None:
    sink.write(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    sink.flush()


if __name__ == "__main__":
    main()
