"""`python -m gyre_inference`: runs the service until it is told to stop."""

from __future__ import annotations

from gyre_runtime.process import main

from gyre_inference.app import build
from gyre_inference.settings import Settings


def run() -> None:
    """Entry point of the command `gyre-inference`."""
    main(build, Settings)


if __name__ == "__main__":
    run()
