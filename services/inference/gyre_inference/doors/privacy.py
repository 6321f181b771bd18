"""The gRPC door of people who want to be forgotten."""

from __future__ import annotations

from gyre.inference.v1 import service_pb2, service_pb2_grpc

from gyre_inference.domain.erasures import ErasureRequest
from gyre_inference.doors.calls import Context, caller_of, faults_as_status
from gyre_inference.use_cases.erasing import EraseUsers
from gyre_inference.wire.privacy import erasure

ROLES = {name: frozenset({"operator"}) for name in ("EraseUser", "GetErasure")}


class PrivacyServicer(service_pb2_grpc.PrivacyServiceServicer):
    """One method, one call, one reply."""

    def __init__(self, users: EraseUsers) -> None:
        self._users = users

    async def EraseUser(
        self, request: service_pb2.EraseUserRequest, context: Context
    ) -> service_pb2.EraseUserResponse:
        """Begins it."""
        caller = caller_of(context)
        wanted = ErasureRequest(request.end_user, request.reason, request.creation_key)
        with faults_as_status():
            begun = await self._users.erase(caller.tenant, caller.principal, wanted)
        return service_pb2.EraseUserResponse(erasure=erasure(begun))

    async def GetErasure(
        self, request: service_pb2.GetErasureRequest, context: Context
    ) -> service_pb2.GetErasureResponse:
        """How far it is."""
        with faults_as_status():
            known = await self._users.get(caller_of(context).tenant, request.erasure_id)
        return service_pb2.GetErasureResponse(erasure=erasure(known))
