"""A job that reaches a limit of its process is a verdict on the document, not a failure."""

import signal

from gyre_ingestion.adapters.processes.pool import WorkerPool
from gyre_ingestion.adapters.processes.worker import WorkerDied
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

_BY_SIGNAL = {
    -signal.SIGXCPU: "computing time",
    -signal.SIGKILL: "memory",
    -signal.SIGXFSZ: "space",
}
# What Rust, C++ and Python say when they get no more; pdfium's exception is a C++ `bad_alloc`.
_OUT_OF_MEMORY = ("memory allocation", "bad_alloc", "foreign exception", "MemoryError")


async def ask_within_limits(pool: WorkerPool, first: bytes, second: bytes, job: str) -> bytes:
    """A worker's answer; `Rejected` says which limit `job` reached, other ends are `WorkerDied`."""
    try:
        return await pool.ask(first, second)
    except WorkerDied as death:
        if limit := _limit_of(death):
            raise too_much(f"{job} needs too much {limit}.") from death
        raise
    except TimeoutError as late:
        raise too_much(f"{job} took over {pool.seconds} seconds.") from late


def too_much(detail: str) -> Rejected:
    """The verdict on a document that is too large in some way."""
    return Rejected(RejectionReason.LIMIT_EXCEEDED, detail)


def _limit_of(death: WorkerDied) -> str:
    if any(sign in death.complaint for sign in _OUT_OF_MEMORY):
        return "memory"
    return _BY_SIGNAL.get(death.code, "")
