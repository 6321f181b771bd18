"""Ports of the local platform: the defaults where they are free, others where they are taken."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from gyre_local.server import ServerError

DEFAULTS: Mapping[str, int] = {
    "nats": 4222,
    "nats_monitor": 8222,
    "milvus": 19530,
    "triton": 8001,
    "triton_metrics": 8002,
    "ingestion": 50051,
    "embedding": 50052,
    "retrieval": 50053,
    "inference": 50054,
    "feedback": 50055,
    "evaluation": 50056,
    "retraining": 50057,
    "edge": 8080,
    "ingestion_metrics": 9101,
    "embedding_metrics": 9102,
    "retrieval_metrics": 9103,
    "inference_metrics": 9104,
    "feedback_metrics": 9105,
    "evaluation_metrics": 9106,
    "retraining_metrics": 9107,
    "edge_metrics": 9109,
}
# Below the ports of outgoing connections: one of these would keep a server that was killed from
# coming back to its port.
SERVER_PORTS = range(20_000, 32_768)
_candidates = cycle(random.sample(SERVER_PORTS, len(SERVER_PORTS)))


def divide(part: int, parts: int) -> None:
    """Draws from every `parts`-th port only, the first being `part`: processes that hold different
    parts never draw the same port, not even while its server is away."""
    global _candidates  # noqa: PLW0603
    mine = SERVER_PORTS[part::parts]
    _candidates = cycle(random.sample(mine, len(mine)))


def choose(remembered: Path) -> dict[str, int]:
    """A free port for each name: the one of the last run if it can be, then the default."""
    last: dict[str, int] = json.loads(remembered.read_text()) if remembered.exists() else {}
    chosen: dict[str, int] = {}
    for name, default in DEFAULTS.items():
        wanted = last.get(name, default)
        taken = set(chosen.values())
        chosen[name] = wanted if wanted not in taken and is_free(wanted) else free_port()
    remembered.parent.mkdir(parents=True, exist_ok=True)
    remembered.write_text(json.dumps(chosen, indent=2) + "\n")
    return chosen


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that was free a moment ago on the loopback interface; another one at each call."""
    return next(filter(is_free, _candidates))


def refuse_taken(host: str, port: int) -> None:
    """Raises `ServerError`: gRPC servers would share the port (SO_REUSEPORT) and answer in turn,
    without an error from either."""
    if not is_free(port, host):
        raise ServerError(f"port {port} of {host} is taken: choose another one")
