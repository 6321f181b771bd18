"""No answer ends without its record, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gyre_inference.domain.faults import Abandoned, DeadlinePassed, Fault
from gyre_inference.domain.generation import FinishReason
from gyre_inference.domain.record import Failure
from gyre_inference.ports import Records
from gyre_inference.use_cases.ledger import Ledger

_ENDS = {"CANCELLED": FinishReason.CANCELLED, "DEADLINE_EXCEEDED": FinishReason.TIMEOUT}

# A caller's clock starts before ours, so its cancellation at its deadline comes a little early.
_EARLY = 0.25


@asynccontextmanager
async def failures_kept(records: Records, ledger: Ledger) -> AsyncIterator[None]:
    """Records a failure or a departure, durably, and lets it go on."""
    try:
        yield
    except Fault as fault:
        await _keep(records, ledger, fault)
        raise
    except (asyncio.CancelledError, GeneratorExit):
        await _keep(records, ledger, _departure(ledger))
        raise
    except Exception:
        await _keep(records, ledger, Fault("the service failed"))
        raise


def _departure(ledger: Ledger) -> Fault:
    left = ledger.time_left
    if left is not None and left <= _EARLY:
        return DeadlinePassed("the deadline passed before the answer was complete")
    return Abandoned("the caller left before the answer was complete")


async def _keep(records: Records, ledger: Ledger, fault: Fault) -> None:
    record = ledger.record(_ENDS.get(fault.status))
    failure = Failure(fault.status, fault.detail)
    # Shielded: a second cancellation must not take the record with it.
    await asyncio.shield(asyncio.ensure_future(records.failed(record, failure)))
