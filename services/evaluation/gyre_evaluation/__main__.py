"""`python -m gyre_evaluation`: the evaluation service until it is told to stop."""

from __future__ import annotations

from gyre_runtime.process import main as run

from gyre_evaluation.app import build
from gyre_evaluation.settings import Settings


def main() -> None:
    run(build, Settings)


if __name__ == "__main__":
    main()
