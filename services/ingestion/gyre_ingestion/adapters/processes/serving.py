"""The worker's side: reads two frames, answers with one, until its input ends."""

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import BinaryIO

from gyre_ingestion.adapters.processes import sandbox, wire

Work = Callable[[bytes, bytes], bytes]
"""Answers a question of two parts."""


def serve(prepare: Callable[[str], Work]) -> None:
    """Runs as a process: `prepare` gets the last argument once the process has lost its rights."""
    memory_bytes, seconds, argument = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    source, sink = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    confined = sandbox.confine(memory_bytes)
    work = prepare(argument)
    _answer(sink, json.dumps({"confined": confined}).encode())
    while (first := _read(source)) is not None:
        second = _read(source) or b""
        sandbox.allow_cpu(seconds)
        _answer(sink, work(first, second))


def _read(source: BinaryIO) -> bytes | None:
    header = source.read(wire.LENGTH.size)
    return source.read(*wire.LENGTH.unpack(header)) if header else None


def _answer(sink: BinaryIO, body: bytes) -> None:
    """Each answer comes behind the most memory the process has used so far, in kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sink.write(wire.LENGTH.pack(peak) + wire.frame(body))
    sink.flush()
