"""What goes wrong behind the gRPC door, in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault

from gyre_feedback.domain.errors import Invalid, MetricTaken, Missing, Refused
from gyre_feedback.ports import FeaturesUnavailable

RETRY_AFTER = 5.0


def tenant() -> str:
    """Of the caller; from the credential, never from a field."""
    return current_principal().tenant


@contextmanager
def faults() -> Iterator[None]:
    """Errors of the stories become status codes."""
    try:
        yield
    except Refused as error:
        conflict = error.reason == "revision_conflict"
        codes = grpc.StatusCode
        code = codes.FAILED_PRECONDITION if conflict else codes.INVALID_ARGUMENT
        raise RpcFault(code, error.detail, violations=error.violations) from error
    except Invalid as error:
        raise RpcFault(
            grpc.StatusCode.INVALID_ARGUMENT, str(error), violations=error.violations
        ) from error
    except MetricTaken as error:
        raise RpcFault(grpc.StatusCode.ALREADY_EXISTS, str(error)) from error
    except Missing as error:
        raise RpcFault(grpc.StatusCode.NOT_FOUND, str(error)) from error
    except FeaturesUnavailable as error:
        raise RpcFault(grpc.StatusCode.UNAVAILABLE, str(error), retry_after=RETRY_AFTER) from error
