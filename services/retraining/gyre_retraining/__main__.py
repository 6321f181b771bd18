"""`python -m gyre_retraining`: the retraining service until it is told to stop."""

from __future__ import annotations

from gyre_runtime.process import main as run

from gyre_retraining.app import build
from gyre_retraining.settings import Settings


def main() -> None:
    run(build, Settings)


if __name__ == "__main__":
    main()
