"""The child: reads a line of JSON, answers with one, until its input ends."""

from __future__ import annotations

import os
import resource
import sys
import traceback
from typing import Any, BinaryIO

import orjson

from gyre_retraining.adapters.worker.jobs import job


def main() -> None:
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    source, sink = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    while line := source.readline():
        _reply(sink, _answer(orjson.loads(line)))


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": job(question["job"])(question["given"])}
    except Exception as error:  # the parent raises it
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _reply(sink: BinaryIO, answer: dict[str, Any]) -> None:
    sink.write(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    sink.flush()


if __name__ == "__main__":
    main()
