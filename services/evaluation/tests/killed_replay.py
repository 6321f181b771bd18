"""The service with slow targets, in a process of its own that a test kills: FOLDER as its argument.

Prints the replay's id once some answers were given again; every question asked is a line of the
file `asked`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from gyre_evaluation.domain.runs import Produced, Target
from gyre_evaluation.ports import Again
from offline_world import ANSWERS
from replay_world import SlowAgain, remembering


class Noting(SlowAgain):
    """Writes down what was answered."""

    file: Path

    async def replay(self, tenant: str, target: Target, again: Again) -> Produced:
        produced = await super().replay(tenant, target, again)
        with self.file.open("a") as book:
            book.write(again.question + "\n")
        return produced


async def main(folder: Path) -> None:
    targets = Noting(dict(ANSWERS))
    targets.file = folder / "asked"
    async with remembering(folder, targets, run_concurrency=2) as past:
        await past.heard_all()
        replay = await past.started()
        await past.caught(replay.replay_id, 6)
        print(replay.replay_id, flush=True)
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
