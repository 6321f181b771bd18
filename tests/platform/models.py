"""The processes in which a Triton's models run, for tests to kill and to heal."""

from __future__ import annotations

from pathlib import Path

import grpc
from gyre_local.triton import TritonServer

LAST_WORDS = 30.0  # seconds in which a server that fell is gone


def processes(server: TritonServer) -> list[int]:
    """Ids of the processes of all models that are loaded."""
    children = Path(f"/proc/{server.pid}/task").glob("*/children")
    return [int(pid) for task in children for pid in task.read_text().split()]


def heal(server: TritonServer, model: str) -> None:
    """As the platform's supervisor does: a model whose process was killed is loaded anew.

    Seldom the server falls with it, as Triton does not catch boost's `lock_exception`: the process
    held a lock of the memory that they share. Then it is started again. Raises
    `subprocess.TimeoutExpired` where a server that lives cannot be healed.
    """
    try:
        server.control().reload(model)
    except grpc.RpcError:
        assert server._process is not None
        server._process.wait(LAST_WORDS)
        server.restart(kill=True)
        server.control().load(model)
