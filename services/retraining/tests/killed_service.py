"""The service with a tiny job in a process of its own that a test kills: FOLDER as its argument.

Wants one training, or goes on with it; prints its id once the job has done some steps.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from service_world import running


async def main(folder: Path) -> None:
    async with running(folder, pause=0.4) as world:
        await world.judged(24)
        training = await world.start()
        await world.watched(training.training_id, lambda one: one.step >= 2)
        print(f"training {training.training_id}", flush=True)
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
