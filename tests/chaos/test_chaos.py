"""Random kill -9 of every process while people write and ask: nothing is lost, nothing doubled.

GYRE_CHAOS_SEED repeats a schedule; GYRE_CHAOS_SECONDS (60) makes the run longer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from gyre_local.platform import SERVICES
from nats.js import JetStreamContext

from tests.chaos import check
from tests.chaos.actors import Asker, Author, Noted
from tests.platform import ledger
from tests.platform.running import TENANTS, RunningPlatform

pytestmark = pytest.mark.models
COLLECTION = "chaos"
LEAST_KILLS = 30
LEAST_ANSWERS = 10
LEAST_WRITES = 50
DRAINED, SERVED = 60.0, 120.0  # seconds at most
CLEAR = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}


@dataclass(frozen=True)
class Blow:
    """Kill `victim` after `pause` seconds."""

    victim: str
    pause: float


def rounds(seed: str) -> Iterator[list[Blow]]:
    """The schedule of a seed, endless: everyone in turn; Triton seldom, as it starts slowly."""
    random = Random(seed)
    for number in itertools.count():
        victims = [*SERVICES, "nats", "milvus", *(["triton"] if number % 3 == 1 else [])]
        random.shuffle(victims)
        yield [Blow(victim, random.uniform(0.3, 1.5)) for victim in victims]


async def strike(
    platform: RunningPlatform, seed: str, seconds: float, people: Sequence[Author | Asker]
) -> Counter[str]:
    """Rounds of kills, for so long and at least so often; returns how often each was killed.

    The victims of a round are down together. After it everyone gets what they ask for again.
    """
    kills: Counter[str] = Counter()
    began = time.monotonic()
    for blows in rounds(seed):
        if time.monotonic() - began >= seconds and kills.total() >= LEAST_KILLS:
            break
        for blow in blows:
            await asyncio.sleep(blow.pause)
            await asyncio.to_thread(platform.kill, blow.victim)
            kills[blow.victim] += 1
        await asyncio.to_thread(platform.wait_healthy)
        await served(people)
    return kills


async def served(people: Sequence[Author | Asker]) -> None:
    """Waits until each of them got one more answer or acknowledgement."""
    before = [one.done for one in people]
    for one, known in zip(people, before, strict=True):
        try:
            async with asyncio.timeout(SERVED):
                while one.done == known:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{one!r} was not served for {SERVED} s") from error


async def test_what_was_acknowledged_survives_the_death_of_every_process(
    platform: RunningPlatform,
    jetstream: JetStreamContext,
    letters_before: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = os.environ.get("GYRE_CHAOS_SEED") or secrets.token_hex(4)
    seconds = float(os.environ.get("GYRE_CHAOS_SECONDS", "60"))
    with capsys.disabled():
        print(f"\nchaos: GYRE_CHAOS_SEED={seed}, {seconds:.0f} s")
    noted, stopped = Noted(), asyncio.Event()
    callers = {tenant: platform.client(tenant) for tenant in TENANTS}
    authors = [
        Author(gyre, (tenant, COLLECTION), f"{tenant}{number}", f"{seed}/{tenant}{number}", noted)
        for tenant, gyre in callers.items()
        for number in range(2)
    ]
    askers = [
        Asker(gyre, COLLECTION, f"{seed}/{tenant}", noted) for tenant, gyre in callers.items()
    ]
    async with asyncio.TaskGroup() as group:
        for author in authors:
            group.create_task(author.write(stopped, pause=1.5))
        for asker, tenant in zip(askers, TENANTS, strict=True):
            own = [author for author in authors if author.tenant == tenant]
            group.create_task(asker.ask(own, stopped, pause=0.3))
        kills = await strike(platform, seed, seconds, [*authors, *askers])
        stopped.set()
        await asyncio.to_thread(platform.wait_healthy)
    drained_in = await ledger.drained(platform, jetstream, DRAINED)

    for author in authors:
        await check.check_documents(callers[author.tenant], author)
        await check.check_search(callers[author.tenant], author, sample=5)
        stranger = next(gyre for tenant, gyre in callers.items() if tenant != author.tenant)
        await check.check_stranger(stranger, author)
    for tenant, gyre in callers.items():
        await check.check_list(gyre, [author for author in authors if author.tenant == tenant])
    passages = await check.check_milvus(platform, jetstream, authors)
    records = await check.check_answers(jetstream, noted)
    await check.check_balances(platform, jetstream)
    assert await ledger.unfaithful_outboxes(platform, jetstream) == {}
    assert await ledger.recorded(jetstream, "DEADLETTERS", after=letters_before) == []
    assert set(noted.refused) <= CLEAR
    assert set(kills) >= {*SERVICES, "nats", "milvus", "triton"}
    assert kills.total() >= LEAST_KILLS
    assert len(noted.answers) >= LEAST_ANSWERS
    assert noted.acknowledged.total() >= LEAST_WRITES
    for gyre in callers.values():
        await gyre.close()
    with capsys.disabled():
        print(f"chaos: {kills.total()} kills {dict(kills)}")
        print(f"chaos: acknowledged {dict(noted.acknowledged)}, repeated {dict(noted.refused)}")
        print(f"chaos: {len(noted.answers)} answers, unanswered:")
        for why, count in noted.unanswered.most_common():
            print(f"    {count} {why}")
        print(f"chaos: {passages} passages, {records} records, drained in {drained_in:.1f} s")
