"""Every load program, one after the other: `python -m tests.load [--only ingestion ...]`.

Figures go to `var/bench/results.json`; the table is printed at the end. Nothing is asserted: a
slow machine is not a fault. Close other programs first, and look at the load average.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.load.report import FOLDER, ROOT, as_markdown, parser

PROGRAMS = (
    "processes",
    "ingestion",
    "embedding",
    "search",
    "generate",
    "engine",
    "bus",
    "feedback",
    "training_latency",
    "reindex",
)


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--only", nargs="*", choices=PROGRAMS, default=PROGRAMS)
    chosen = arguments.parse_args().only
    failed = [name for name in chosen if not measured(name)]
    files = [FOLDER / f"{name}.json" for name in chosen if name not in failed]
    reports = [json.loads(file.read_text()) for file in files]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "results.json").write_text(json.dumps(reports, indent=2) + "\n")
    print(as_markdown(reports))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def measured(name: str) -> bool:
    """Runs a program in a process of its own; False when it failed."""
    sys.stderr.write(f"== {name}\n")
    return subprocess.call((sys.executable, "-m", f"tests.load.{name}"), cwd=ROOT) == 0


if __name__ == "__main__":
    main()
