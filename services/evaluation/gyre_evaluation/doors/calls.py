"""What every door of the service does the same way: who asks, pages, errors as status codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_evaluation.domain.errors import (
    DatasetNotReady,
    DatasetSealed,
    DatasetUnknown,
    GateNotPassed,
    GateUnknown,
    NotPossible,
    PolicyUnknown,
    ReplayUnknown,
    RequestInvalid,
    RunsDiffer,
    RunUnknown,
)
from gyre_evaluation.ports import ScoringUnavailable, TargetUnavailable

READERS = frozenset({"reader", "writer", "operator"})
WRITERS = frozenset({"writer", "operator"})
ROWS, MOST_ROWS = 50, 500
PIECE = 512 * 1024

Context = grpc.aio.ServicerContext[Any, Any]


@contextmanager
def faults() -> Iterator[None]:
    """Errors of the stories as status codes that say what to do."""
    try:
        yield
    except RequestInvalid as error:
        raise RpcFault(
            grpc.StatusCode.INVALID_ARGUMENT,
            "the request is not valid",
            violations=error.violations,
        ) from error
    except DatasetUnknown as error:
        detail = f"there is no dataset '{error}': `gyre eval datasets list` names them"
        raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
    except RunUnknown as error:
        detail = f"there is no run '{error}': `gyre eval runs` names them"
        raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
    except ReplayUnknown as error:
        detail = f"there is no replay '{error}': `gyre replay list` names them"
        raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
    except GateUnknown as error:
        detail = f"there is no gate '{error}': `gyre gate list` names them"
        raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
    except PolicyUnknown as error:
        detail = f"there is no policy '{error}': declare it with `gyre gate declare`"
        raise RpcFault(grpc.StatusCode.NOT_FOUND, detail) from error
    except DatasetSealed as error:
        detail = f"{error} is sealed: open a new version, e.g. with base_version"
        raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, detail) from error
    except (DatasetNotReady, GateNotPassed, RunsDiffer, NotPossible) as error:
        raise RpcFault(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
    except (TargetUnavailable, ScoringUnavailable) as error:
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=1.0) from error


def tenant() -> str:
    """Of whoever asks."""
    return current_principal().tenant


def page_of(size: int) -> int:
    """Rows wanted."""
    if not 0 <= size <= MOST_ROWS:
        raise invalid("page_size", f"0 to {MOST_ROWS}")
    return size or ROWS


def pieces(whole: bytes) -> Iterator[bytes]:
    """Small enough for one message each."""
    for start in range(0, len(whole), PIECE):
        yield whole[start : start + PIECE]


def invalid(field: str, what: str) -> RpcFault:
    """A request that cannot be."""
    return RpcFault(
        grpc.StatusCode.INVALID_ARGUMENT, "the request is not valid", violations={field: what}
    )
