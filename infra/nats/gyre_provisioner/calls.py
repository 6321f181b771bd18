"""Calls of a server that is provisioned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

SECONDS = 10.0


@contextmanager
def calling(server: str) -> Iterator[None]:
    """A call that fails is an OSError with the server's name and words."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise OSError(f"{server}: {error.code().name}: {error.details()}") from error
