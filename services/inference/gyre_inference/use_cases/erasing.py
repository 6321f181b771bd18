"""A person is forgotten, here and in every other service."""

from __future__ import annotations

from gyre_inference.domain.erasures import Erasure, ErasureRequest, check_erasure_request
from gyre_inference.ports import Erasures


class EraseUsers:
    """Asks for it, and tells how far it is."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures

    async def erase(self, tenant: str, principal: str, request: ErasureRequest) -> Erasure:
        """Raises `InvalidRequest`, and `Conflict` where the key stands for somebody else."""
        check_erasure_request(request)
        return await self._erasures.begin(tenant, principal, request)

    async def get(self, tenant: str, erasure_id: str) -> Erasure:
        """Raises `NotFound`."""
        return await self._erasures.get(tenant, erasure_id)
