"""The bus's patience with a consumer, which a test may shorten so that it need not wait as long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.js import JetStreamContext

from tests.platform.ledger import CONSUMERS

STREAMS = {plan.durable: plan.stream for plan in CONSUMERS}


@asynccontextmanager
async def short_ack_wait(
    jetstream: JetStreamContext, durable: str, seconds: float = 1.0
) -> AsyncIterator[float]:
    """Delivers again sooner than in production what is not acknowledged: after so many seconds."""
    stream = STREAMS[durable]
    usual = (await jetstream.consumer_info(stream, durable)).config
    await jetstream.add_consumer(stream, usual.evolve(ack_wait=seconds))
    try:
        yield seconds
    finally:
        await jetstream.add_consumer(stream, usual)


@asynccontextmanager
async def usual_ack_wait(jetstream: JetStreamContext, durable: str) -> AsyncIterator[float]:
    """As in production."""
    config = (await jetstream.consumer_info(STREAMS[durable], durable)).config
    assert config.ack_wait
    yield config.ack_wait


async def deliveries(jetstream: JetStreamContext, durable: str) -> int:
    """How often a message was given to the consumer, repeats counted."""
    info = await jetstream.consumer_info(STREAMS[durable], durable)
    return info.delivered.consumer_seq if info.delivered else 0
