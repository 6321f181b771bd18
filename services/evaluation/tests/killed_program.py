"""The service with slow targets, in a process of its own that a test kills: FOLDER as its argument.

Prints the run's id once some examples are done.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from gyre.evaluation.v1 import service_pb2 as wire
from gyre_evaluation.adapters.memory import MemoryTargets
from gyre_evaluation.domain.runs import Produced, Target
from offline_world import ANSWERS, running


class Slow(MemoryTargets):
    """Takes a while, so that a run can be caught in the middle."""

    async def answer(
        self, tenant: str, target: Target, question: str, *, request_id: str
    ) -> Produced:
        await asyncio.sleep(0.15)
        return await super().answer(tenant, target, question, request_id=request_id)


async def main(folder: Path) -> None:
    async with running(folder, Slow(dict(ANSWERS)), run_concurrency=2) as world:
        await world.dataset()
        request = wire.StartRunRequest(dataset="sums", metrics=["exact_match"])
        run_id = (await world.call("StartRun", request)).run.run_id
        await world.caught(run_id, 6)
        print(run_id, flush=True)
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
