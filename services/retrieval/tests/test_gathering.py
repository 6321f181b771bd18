"""Many small writes become few, and one caller's fault stays its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from gyre_retrieval.adapters.milvus.gathering import Gathering, Row
from gyre_retrieval.ports import IndexUnavailable


class Store:
    """Keeps what is written; refuse says which writes fail, and how."""

    def __init__(self, refuse: Callable[[list[Row]], Exception | None] = lambda _: None) -> None:
        self.writes: list[list[int]] = []
        self._refuse = refuse

    async def write(self, rows: list[Row]) -> None:
        await asyncio.sleep(0)
        self.writes.append([row["id"] for row in rows])
        if error := self._refuse(rows):
            raise error


def gathering(store: Store, largest: int = 1000) -> Gathering:
    return Gathering(store.write, window=0.0, largest=largest)


async def test_writes_that_come_together_are_one_write() -> None:
    store = Store()
    gathered = gathering(store)
    await asyncio.gather(*(gathered.add([{"id": number}]) for number in range(50)))
    assert store.writes == [list(range(50))]


async def test_a_group_is_no_larger_than_it_may_be() -> None:
    store = Store()
    gathered = gathering(store, largest=10)
    await asyncio.gather(*(gathered.add([{"id": n}, {"id": -n}]) for n in range(1, 13)))
    assert [len(write) for write in store.writes] == [10, 10, 4]


async def test_one_bad_write_fails_alone() -> None:
    store = Store(lambda rows: ValueError("bad") if any(row["id"] == 3 for row in rows) else None)
    gathered = gathering(store)
    adds = (gathered.add([{"id": number}]) for number in range(6))
    results = await asyncio.gather(*adds, return_exceptions=True)
    assert [type(result) for result in results] == [
        ValueError if number == 3 else type(None) for number in range(6)
    ]


async def test_a_store_that_does_not_answer_is_asked_once_for_all() -> None:
    store = Store(lambda _: IndexUnavailable("down"))
    gathered = gathering(store)
    adds = (gathered.add([{"id": number}]) for number in range(6))
    results = await asyncio.gather(*adds, return_exceptions=True)
    assert all(isinstance(result, IndexUnavailable) for result in results)
    assert len(store.writes) == 1


async def test_a_caller_that_gives_up_does_not_hold_up_the_others() -> None:
    store = Store()
    gathered = gathering(store)
    impatient = asyncio.create_task(gathered.add([{"id": 1}]))
    patient = asyncio.create_task(gathered.add([{"id": 2}]))
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await gathered.close()
