"""Ports: the defaults where they are free, others where they are taken, the same next time."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from gyre_local import ports


def test_the_ports_of_the_last_run_are_taken_again(tmp_path: Path) -> None:
    remembered = tmp_path / "ports.json"
    chosen = ports.choose(remembered)
    assert ports.choose(remembered) == chosen == json.loads(remembered.read_text())


def test_a_taken_port_is_replaced_by_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        monkeypatch.setattr(ports, "DEFAULTS", {"nats": taken, "milvus": ports.free_port()})
        chosen = ports.choose(tmp_path / "ports.json")
    assert chosen["nats"] != taken
    assert len(set(chosen.values())) == 2


def test_free_ports_are_none_that_an_outgoing_connection_could_take() -> None:
    found = [ports.free_port() for _ in range(200)]
    assert len(set(found)) == 200
    assert all(map(ports.is_free, found))
    assert max(found) < 32_768


def test_processes_that_hold_different_parts_never_draw_the_same_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "SERVER_PORTS", range(20_000, 20_040))
    monkeypatch.setattr(ports, "_candidates", None)  # put back at the end
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    drawn = []
    for part in range(2):
        ports.divide(part, 2)
        drawn.append({ports.free_port() for _ in range(60)})
    assert drawn[0].isdisjoint(drawn[1])
    assert drawn[0] | drawn[1] == set(ports.SERVER_PORTS)
