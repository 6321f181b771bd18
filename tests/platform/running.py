"""The whole platform as its own processes, kept by the real supervisor, for tests to hurt."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import nats
from gyre_client import ClientSettings, Gyre
from gyre_local.models import prepare_models
from gyre_local.platform import SERVICES, Platform
from gyre_local.ports import DEFAULTS, free_port
from gyre_local.program import Program, State
from gyre_local.settings import REPOSITORY, LocalSettings
from gyre_local.supervisor import Running, Supervisor
from nats.js import JetStreamContext
from pydantic import SecretStr

TENANTS = ("acme", "globex")
PATIENCE = 600.0
STOP_TIMEOUT = 60.0


class RunningPlatform:
    """NATS, Milvus, Triton and every service on free ports, state in one folder.

    The supervisor runs in a thread of its own, so that it heals whatever the test's loop does.
    Models that were exported once are taken from the checkout's `var/models`. only: names of the
    programs to run; None means all. settings: environment of all of them besides their own.
    """

    def __init__(
        self,
        state: Path,
        *,
        only: Iterable[str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state
        self._only = None if only is None else frozenset(only)
        self._extra = dict(settings or {})
        self._settings = LocalSettings(state=state)
        self.environment: dict[str, str] = {}
        self.groups: set[int] = set()
        self._gates: dict[str, threading.Event] = {}
        self._programs: dict[str, Program] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self._supervisor: Supervisor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns when everything is healthy."""
        kept = REPOSITORY / "var" / "models"
        kept.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(parents=True, exist_ok=True)
        if not (self.state / "models").exists():
            (self.state / "models").symlink_to(kept)
        prepare_models(self._settings)
        platform = Platform(self._settings, {name: free_port() for name in DEFAULTS})
        self.environment = platform.environment()
        self._programs = {one.name: one for one in map(self._guarded, platform.programs())}
        programs = self._chosen(list(self._programs.values()))
        self._supervisor = Supervisor(programs, self.state, stop_timeout=STOP_TIMEOUT)
        self._thread = threading.Thread(target=self._supervise, name="supervisor")
        self._thread.start()
        self.wait_healthy()

    def stop(self) -> None:
        """Everything, in order; raises RuntimeError when a process outlives it."""
        for gate in self._gates.values():
            gate.set()
        if self._supervisor is not None and self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._supervisor.stop)
            self._thread.join()
        left = [group for group in self.groups if _lives(group)]
        for group in left:
            os.killpg(group, signal.SIGKILL)
        if left:
            raise RuntimeError(f"processes of the groups {left} outlived the platform")

    def program(self, name: str) -> Program:
        """How it is started; also of one that `only` leaves out."""
        return self._programs[name]

    def configure(self, name: str, **environment: str) -> None:
        """Changes what the program is given from its next start on."""
        self._environments[name].update(environment)

    def look(self, name: str) -> Running:
        """A program as the supervisor sees it."""
        assert self._supervisor is not None
        return self._supervisor.look(name)

    def restarts(self) -> dict[str, int]:
        """Program -> how often the supervisor started it again."""
        return {name: self.look(name).restarts for name in self._gates if self.runs(name)}

    def healthy(self, name: str) -> bool:
        one = self.look(name)
        alive = one.process is not None and one.process.returncode is None
        return one.state is State.DONE or (one.state is State.HEALTHY and alive)

    def wait_healthy(self, names: Iterable[str] | None = None, patience: float = PATIENCE) -> None:
        """Raises TimeoutError that names those which are not."""
        wanted = tuple(names or (name for name in self._gates if self.runs(name)))
        deadline = time.monotonic() + patience
        while ill := [name for name in wanted if not self.healthy(name)]:
            if time.monotonic() > deadline:
                told = {name: (self.look(name).state, self.look(name).detail) for name in ill}
                raise TimeoutError(f"not healthy after {patience} s: {told}")
            time.sleep(0.05)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Sends it to the process alone, not to its children; returns its exit code."""
        process = self.look(name).process
        assert process is not None
        self.groups.add(process.pid)
        os.kill(process.pid, number)
        while process.returncode is None:
            time.sleep(0.01)
        while self.look(name).process is process and self.look(name).state is State.HEALTHY:
            time.sleep(0.01)
        return process.returncode

    def kill(self, name: str) -> None:
        """kill -9; the supervisor starts it again."""
        self.signal(name, signal.SIGKILL)

    def terminate(self, name: str) -> int:
        """SIGTERM, as a rollout sends it; the supervisor starts it again."""
        return self.signal(name, signal.SIGTERM)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """SIGSTOP: it lives and does nothing inside of the block."""
        process = self.look(name).process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def hold(self, name: str) -> None:
        """kill -9, and it stays away until `release`."""
        self._gates[name].clear()
        self.kill(name)

    def keep_away(self, name: str) -> None:
        """What ends from now on is not started until `release`."""
        self._gates[name].clear()

    def release(self, name: str) -> None:
        """Lets the supervisor start it; returns at once."""
        self._gates[name].set()

    def children(self, name: str) -> dict[int, str]:
        """Process id -> command line of the children that live."""
        process = self.look(name).process
        assert process is not None
        ids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        found = {int(one): _command_line(int(one)) for one in ids}
        return {pid: line for pid, line in found.items() if line}  # none of its own: a zombie

    def client(self, tenant: str = TENANTS[0], **settings: Any) -> Gyre:
        """A caller of that tenant who may do everything."""
        addresses = {
            f"{name}_address": self.environment[f"GYRE_{name.upper()}_ADDRESS"] for name in SERVICES
        }
        chosen: dict[str, Any] = {**addresses, "api_key": SecretStr(_key(tenant)), **settings}
        return Gyre(ClientSettings(_env_file=None, **chosen))

    def command_line(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `gyre ...` against this platform."""
        gyre = Path(sys.executable).parent / "gyre"
        return subprocess.run(
            [gyre, *arguments],
            env={**os.environ, **self.environment, "GYRE_API_KEY": _key(TENANTS[0])},
            capture_output=True,
            text=True,
            check=False,
        )

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[JetStreamContext]:
        """JetStream on a connection of the test's own."""
        url = self.environment["GYRE_NATS_URL"]
        client = await nats.connect(url, max_reconnect_attempts=-1, error_cb=_expected)
        try:
            yield client.jetstream()
        finally:
            await client.close()

    def database(self, service: str) -> Path:
        return self.state / service / f"{service}.db"

    def runs(self, name: str) -> bool:
        """Whether it is among the programs of this platform."""
        return self._only is None or name in self._only

    def _chosen(self, programs: list[Program]) -> list[Program]:
        chosen = [one for one in programs if self.runs(one.name)]
        names = {one.name for one in chosen}
        kept = {one.name: tuple(name for name in one.after if name in names) for one in chosen}
        return [dataclasses.replace(one, after=kept[one.name]) for one in chosen]

    def _guarded(self, program: Program) -> Program:
        gate = threading.Event()
        gate.set()
        self._gates[program.name] = gate
        environment = self._environments[program.name] = {**program.environment, **self._extra}
        if program.name in SERVICES:
            environment["GYRE_API_KEYS"] = json.dumps({_key(one): _owner(one) for one in TENANTS})
            environment["GYRE_EVALUATION_KEYS"] = json.dumps({one: _key(one) for one in TENANTS})
        prepare = _after(gate, program.prepare)
        return dataclasses.replace(program, environment=environment, prepare=prepare)

    def _supervise(self) -> None:
        async def run() -> None:
            assert self._supervisor is not None
            self._loop = asyncio.get_running_loop()
            await self._supervisor.run()

        asyncio.run(run())


def _after(gate: threading.Event, prepare: Callable[[], None]) -> Callable[[], None]:
    def wait_and_prepare() -> None:
        gate.wait()
        prepare()

    return wait_and_prepare


async def _expected(error: Exception) -> None:
    """A connection that breaks is what these tests do."""


def _key(tenant: str) -> str:
    return f"key-of-{tenant}"


def _owner(tenant: str) -> dict[str, Any]:
    return {"tenant": tenant, "principal": f"tester-{tenant}", "roles": ["admin"]}


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
