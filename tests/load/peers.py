"""The peers' own environment in `var/bench/peers`: what we compare with never meets our pins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.load.report import FOLDER, ROOT

ENVIRONMENT = FOLDER / "peers"
PACKAGES = (
    "torch==2.13.0",
    "sentence-transformers",
    "langchain-community",
    "langchain-huggingface",
    "langchain-text-splitters",
    "faiss-cpu",
)


def prepare() -> Path:
    """Returns the environment's python; makes it the first time (some minutes)."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".ready"
    if ready.exists() and ready.read_text() == " ".join(PACKAGES):
        return python
    sys.stderr.write("installing the peers into var/bench/peers ...\n")
    uv = _uv()
    if not python.exists():
        subprocess.run((uv, "venv", "--quiet", "--python", sys.executable, ENVIRONMENT), check=True)
    install = (uv, "pip", "install", "--quiet", "--link-mode", "copy", "--python", str(python))
    subprocess.run((*install, *_torch_from(), *PACKAGES), check=True)
    ready.write_text(" ".join(PACKAGES))
    return python


def _uv() -> str:
    found = shutil.which("uv", path=f"{ROOT / '.venv' / 'bin'}:{os.environ.get('PATH', '')}")
    if found is None:
        raise SystemExit("uv is missing: `make setup` installs it")
    return found


def _torch_from() -> tuple[str, ...]:
    folder = os.environ.get("PIP_FIND_LINKS")
    return ("--find-links", folder) if folder else ("--torch-backend", "cpu")


class Peer:
    """A program in the peers' environment that answers a JSON line with a JSON line."""

    def __init__(self, program: Path, *arguments: str, python: Path | None = None) -> None:
        """python: of another environment than the peers' own."""
        self._process = subprocess.Popen(
            (str(python or prepare()), str(program), *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"},
            text=True,
        )

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sends one line and waits for its answer; SystemExit when the peer died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the peer ended with {self._process.wait()}; see its message above")
        return dict(json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
