"""The gRPC door of prompts."""

from __future__ import annotations

from gyre.inference.v1 import answer_pb2, service_pb2, service_pb2_grpc

from gyre_inference import wire
from gyre_inference.doors.calls import Context, caller_of, faults_as_status, number_in, page_size
from gyre_inference.use_cases.prompts import ManagePrompts, content_in
from gyre_inference.use_cases.shelving import Promotion

_READERS = frozenset({"reader", "writer", "operator"})
_WRITERS = frozenset({"writer", "operator"})
ROLES = {
    "RegisterPrompt": _WRITERS,
    "GetPrompt": _READERS,
    "ListPrompts": _READERS,
    "PromotePrompt": _WRITERS,
    "RenderPrompt": _READERS,
    "DiffPrompts": _READERS,
}
_NEWEST = 2**31


class PromptServicer(service_pb2_grpc.PromptServiceServicer):
    """One method, one call, one reply."""

    def __init__(self, prompts: ManagePrompts) -> None:
        self._prompts = prompts

    async def RegisterPrompt(
        self, request: service_pb2.RegisterPromptRequest, context: Context
    ) -> service_pb2.RegisterPromptResponse:
        """Keeps a version."""
        caller = caller_of(context)
        with faults_as_status():
            content = wire.prompt_content_of(request.content)
            draft = self._prompts.draft(
                content, request.message, caller.principal, tuple(request.labels)
            )
            outcome = await self._prompts.versions.register(
                caller.tenant, request.name, draft, dry_run=request.dry_run
            )
        version = outcome.registered.version
        return service_pb2.RegisterPromptResponse(
            version=wire.prompt_version(version, outcome.labels, content_in(version)),
            is_new=outcome.registered.is_new,
            diff=outcome.difference,
            moves=map(wire.label_move, outcome.registered.moves),
        )

    async def GetPrompt(
        self, request: service_pb2.GetPromptRequest, context: Context
    ) -> service_pb2.GetPromptResponse:
        """One version."""
        with faults_as_status():
            shown, moves = await self._prompts.versions.get(
                caller_of(context).tenant, request.name, request.version
            )
        return service_pb2.GetPromptResponse(
            version=wire.prompt_version(shown.version, shown.labels, content_in(shown.version)),
            moves=map(wire.label_move, moves),
        )

    async def ListPrompts(
        self, request: service_pb2.ListPromptsRequest, context: Context
    ) -> service_pb2.ListPromptsResponse:
        """A page."""
        tenant, versions = caller_of(context).tenant, self._prompts.versions
        with faults_as_status():
            size, token = page_size(request.page_size), request.page_token
            if request.name:
                below = number_in(token, _NEWEST)
                found = await versions.history(tenant, request.name, below, size)
            else:
                found = list(await versions.list(tenant, token, size))
        following = ""
        if len(found) == size:
            last = found[-1].version
            following = str(last.number) if request.name else last.key.name
        return service_pb2.ListPromptsResponse(
            prompts=[wire.prompt_version(one.version, one.labels) for one in found],
            next_page_token=following,
        )

    async def PromotePrompt(
        self, request: service_pb2.PromotePromptRequest, context: Context
    ) -> service_pb2.PromotePromptResponse:
        """Moves a label."""
        caller = caller_of(context)
        promotion = Promotion(
            request.version,
            request.label,
            request.message,
            caller.principal,
            request.expected_version,
        )
        with faults_as_status():
            shown, move = await self._prompts.versions.promote(
                caller.tenant, request.name, promotion
            )
        return service_pb2.PromotePromptResponse(
            version=wire.prompt_version(shown.version, shown.labels, content_in(shown.version)),
            move=wire.label_move(move) if move else None,
        )

    async def RenderPrompt(
        self, request: service_pb2.RenderPromptRequest, context: Context
    ) -> service_pb2.RenderPromptResponse:
        """The messages."""
        with faults_as_status():
            version, messages = await self._prompts.render(
                caller_of(context).tenant,
                request.name,
                request.version,
                wire.data_of(request.arguments),
            )
        turns = [answer_pb2.ChatMessage(role=one.role, content=one.content) for one in messages]
        return service_pb2.RenderPromptResponse(messages=turns, version=version.number)

    async def DiffPrompts(
        self, request: service_pb2.DiffPromptsRequest, context: Context
    ) -> service_pb2.DiffPromptsResponse:
        """What changed."""
        with faults_as_status():
            older, newer, told = await self._prompts.versions.diff(
                caller_of(context).tenant, request.name, request.from_version, request.to_version
            )
        return service_pb2.DiffPromptsResponse(
            diff=told, from_version=older.number, to_version=newer.number
        )
