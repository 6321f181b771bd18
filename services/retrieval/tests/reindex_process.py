"""Fills indexes until it is killed: `python reindex_process.py DATABASE_URL MILVUS_URI`."""

from __future__ import annotations

import asyncio
import sys

from gyre_retrieval.adapters.milvus import MilvusVectorIndex
from reindex_world import world_on


async def main(url: str, milvus: str) -> None:
    async with MilvusVectorIndex(milvus, timeout=30.0) as kept, world_on(url, kept) as world:
        await asyncio.gather(world.reindexer.run(), world.sweeper.run())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
