"""A program of another environment, run to its end beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST = 300
_ERROR = "error:"


@dataclass(frozen=True)
class Ended:
    """code: 0 is well, negative a signal's number. last: what it said last, cut, for people."""

    code: int
    last: str

    @property
    def refusal(self) -> str:
        """Why it will not do it, today or later: it ended with 1 and `error: ...`. Else empty."""
        refused = self.code == 1 and self.last.startswith(_ERROR)
        return self.last.removeprefix(_ERROR).strip() if refused else ""


async def run_program(command: Sequence[str], *, seconds: float) -> Ended:
    """Returns when it ended. It ends with whoever waits for it.

    Raises `TimeoutError` when it took longer, `OSError` where it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    last = said.decode(errors="replace").strip().splitlines()[-1:]
    return Ended(process.returncode or 0, "".join(last)[:_LONGEST])
