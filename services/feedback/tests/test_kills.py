"""Across kill -9 of the service and of a real nats-server: nothing lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

from tests.load.feedback import Plan, Run


async def test_feedback_first_last_and_among_its_answers_survives_kills(tmp_path: Path) -> None:
    """The schedule is seeded: the same seed repeats the same events and kills."""
    run = Run(tmp_path, Plan(rate=60, seconds=18, seed=7))
    async with run.running():
        await run.pace(kills=3, broker_kills=1)
        await run.drained()
        ledger = await run.ledger()
    assert ledger.sent == 1080
    assert dict(ledger.states or {}) == {"recorded": 1080}
    assert (ledger.told, ledger.told_twice) == (1080, 0)
    assert (ledger.counted, ledger.scored) == (1080, 1080)
    assert ledger.dead == 0


async def test_judgements_sent_three_times_and_shuffled_are_applied_once(tmp_path: Path) -> None:
    run = Run(tmp_path, Plan(rate=200, seconds=2, seed=3, copies=3))
    async with run.running():
        await run.pace(kills=1, broker_kills=0)
        await run.drained()
        ledger = await run.ledger()
    assert dict(ledger.states or {}) == {"recorded": 400}
    assert (ledger.told, ledger.told_twice, ledger.counted) == (400, 0, 400)
