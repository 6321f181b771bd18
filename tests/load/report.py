"""The frame that all load programs share: figures of one run, and the machine that made them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "var" / "bench"
SPEAKING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def this_machine() -> dict[str, Any]:
    """Cores, processor, the flags that matter to matrix products, memory in GB, load average."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", about, re.M)
    flags = re.search(r"^flags\s*:\s*(.+)$", about, re.M)
    has = set(flags.group(1).split()) if flags else set()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": name.group(1).strip() if name else platform.processor(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in SPEAKING_FLAGS if flag in has],
        "precision": "bfloat16" if has & {"avx512_bf16", "amx_bf16"} else "float32",
        "memory_gb": round(pages / 1e9, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "time": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


@dataclass(frozen=True)
class Figure:
    """One measured number. peer: what the other side did in the same run, where there is one.

    goal: in words; reached: None where no goal is named.
    """

    what: str
    value: float
    unit: str
    peer: float | None = None
    goal: str = ""
    reached: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.value / self.peer if self.peer else None


@dataclass
class Report:
    """The figures of one program; `save` prints them and keeps them in `var/bench/<program>.json`.

    Make it before the work starts: it notes the load average.
    """

    program: str
    notes: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=this_machine)

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        *,
        peer: float | None = None,
        goal: str = "",
        reached: bool | None = None,
    ) -> None:
        """Adds one figure."""
        self.figures.append(Figure(what, value, unit, peer, goal, reached))

    def at_least(self, what: str, value: float, unit: str, *, times: float, peer: float) -> None:
        """A figure whose goal is a multiple of the peer's."""
        goal = f"at least {times:g} times the peer"
        self.add(what, value, unit, peer=peer, goal=goal, reached=value >= times * peer)

    def at_most(self, what: str, value: float, unit: str, most: float) -> None:
        """A figure that should stay below a number."""
        self.add(what, value, unit, goal=f"at most {most:g} {unit}", reached=value <= most)

    def save(self) -> None:
        """Prints the table and writes the file."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        whole = {"program": self.program, "machine": self.machine, "notes": self.notes}
        whole["figures"] = [asdict(one) for one in self.figures]
        (FOLDER / f"{self.program}.json").write_text(json.dumps(whole, indent=2) + "\n")
        print(as_markdown([whole]), flush=True)


def as_markdown(reports: Sequence[dict[str, Any]]) -> str:
    """One table of many programs' figures."""
    head = "| program | what | measured | peer | ratio | goal | reached |\n" + "|---" * 7 + "|\n"
    rows = (_row(one["program"], Figure(**figure)) for one in reports for figure in one["figures"])
    notes = (f"- {one['program']}: {note}" for one in reports for note in one["notes"])
    return head + "\n".join(rows) + "\n\n" + "\n".join((_machine_line(reports), *notes)) + "\n"


def _row(program: str, one: Figure) -> str:
    peer = "" if one.peer is None else f"{_number(one.peer)} {one.unit}"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    reached = {None: "", True: "yes", False: "**no**"}[one.reached]
    cells = (program, one.what, f"{_number(one.value)} {one.unit}", peer, ratio, one.goal, reached)
    return f"| {' | '.join(cells)} |"


def _machine_line(reports: Sequence[dict[str, Any]]) -> str:
    about = reports[0]["machine"] if reports else this_machine()
    loads = ", ".join(f"{one['program']} {one['machine']['load_average']}" for one in reports)
    flags = " ".join(about["flags"])
    wide = about["precision"]
    why = "" if wide == "bfloat16" else " (this processor has no bfloat16)"
    return (
        f"Machine: {about['cores']} cores of {about['processor']} ({flags}), "
        f"{about['memory_gb']} GB; models run in {wide}{why}. Load average at the start: {loads}."
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def parser(documentation: str) -> argparse.ArgumentParser:
    """A parser that shows the program's documentation.

    SIGTERM ends the program as Ctrl-C does, so that what it started is stopped.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    shape = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=documentation, formatter_class=shape)


def progress(what: str, done: int, total: int) -> None:
    """One line that moves."""
    sys.stderr.write(f"\r{what} {done} of {total}" + ("\n" if done >= total else ""))
    sys.stderr.flush()
