"""Starts the embedding service."""

from __future__ import annotations

from gyre_runtime.process import main as run

from gyre_embedding.app import build
from gyre_embedding.settings import Settings


def main() -> None:
    """Runs until told to stop."""
    run(build, Settings)


if __name__ == "__main__":
    main()
