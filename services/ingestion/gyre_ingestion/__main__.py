"""Starts the ingestion service."""

from gyre_runtime.process import main as run

from gyre_ingestion.app import build
from gyre_ingestion.settings import Settings


def main() -> None:
    """Runs until told to stop."""
    run(build, Settings)


if __name__ == "__main__":
    main()
