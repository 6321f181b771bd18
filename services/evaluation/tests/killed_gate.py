"""The service with slow models, in a process of its own that a test kills: FOLDER as its argument.

Prints the gate's id once the candidate was asked.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

from gate_world import MemoryModels, guarded
from offline_world import ANSWERS


class SlowModels(MemoryModels):
    """Takes a while."""

    async def answer(self, *given: Any, **named: Any) -> Any:
        await asyncio.sleep(0.05)
        return await super().answer(*given, **named)


async def main(folder: Path) -> None:
    async with guarded(folder, SlowModels(dict(ANSWERS)), run_concurrency=2) as gatehouse:
        await gatehouse.declared()
        gate = await gatehouse.started()
        await gatehouse.ended(gate.gate_id, done=40)
        print(gate.gate_id, flush=True)
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
