"""Prompts: register, look at, render, promote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct
from gyre.inference.v1 import prompt_pb2, service_pb2
from gyre.inference.v1.service_pb2_grpc import PromptServiceStub

from gyre_client.channels import CallOptions, Channels
from gyre_client.errors import InvalidError, raising
from gyre_client.models import ChatMessage
from gyre_client.settings import ClientSettings
from gyre_client.versions import LabelMove, PromptVersion, Registered

if TYPE_CHECKING:  # the asynchronous stub is a type alone
    from gyre.inference.v1.service_pb2_grpc import PromptServiceAsyncStub


class Prompts:
    """The caller's prompts, above the platform's. Every method raises GyreError.

    version: a number or a label; empty means the one in force.
    """

    def __init__(self, channels: Channels, settings: ClientSettings) -> None:
        self._address = settings.inference_address
        self._call = CallOptions(metadata=channels.metadata, timeout=settings.timeout)
        self._stub: PromptServiceAsyncStub = PromptServiceStub(channels.to(self._address))

    async def register(
        self,
        name: str,
        content: Mapping[str, Any],
        *,
        message: str = "",
        labels: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Registered:
        """Keeps a version; equal content is the same version. content: fields as in a file."""
        request = service_pb2.RegisterPromptRequest(
            name=name,
            content=_content(content),
            message=message,
            labels=labels,
            dry_run=dry_run,
        )
        with raising(self._address):
            return Registered.read(await self._stub.RegisterPrompt(request, **self._call))

    async def get(self, name: str, version: str = "") -> tuple[PromptVersion, Sequence[LabelMove]]:
        """A version, and where its labels have been, newest first."""
        request = service_pb2.GetPromptRequest(name=name, version=version)
        with raising(self._address):
            reply = await self._stub.GetPrompt(request, **self._call)
        return PromptVersion.read(reply.version), tuple(map(LabelMove.read, reply.moves))

    async def list(self, name: str = "") -> AsyncIterator[PromptVersion]:
        """The version in force of each prompt, or all versions of one, newest first."""
        request = service_pb2.ListPromptsRequest(name=name, page_size=200)
        while True:
            with raising(self._address):
                reply = await self._stub.ListPrompts(request, **self._call)
            for message in reply.prompts:
                yield PromptVersion.read(message)
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def promote(
        self,
        name: str,
        version: str,
        *,
        label: str = "production",
        message: str = "",
        expected_version: int = 0,
    ) -> tuple[PromptVersion, LabelMove | None]:
        """Moves a label; None where it pointed there already. A rollback is a move back."""
        request = service_pb2.PromotePromptRequest(
            name=name,
            version=version,
            label=label,
            message=message,
            expected_version=expected_version,
        )
        with raising(self._address):
            reply = await self._stub.PromotePrompt(request, **self._call)
        move = LabelMove.read(reply.move) if reply.HasField("move") else None
        return PromptVersion.read(reply.version), move

    async def render(
        self, name: str, arguments: Mapping[str, Any], version: str = ""
    ) -> tuple[int, Sequence[ChatMessage]]:
        """The version that was rendered and the messages a model would get."""
        request = service_pb2.RenderPromptRequest(
            name=name, version=version, arguments=ParseDict(dict(arguments), Struct())
        )
        with raising(self._address):
            reply = await self._stub.RenderPrompt(request, **self._call)
        messages = [ChatMessage(one.role, one.content) for one in reply.messages]  # type: ignore[arg-type]
        return reply.version, messages

    async def diff(self, name: str, old: str = "", new: str = "") -> str:
        """Unified diff; by default of the newest version and the one before it."""
        request = service_pb2.DiffPromptsRequest(name=name, from_version=old, to_version=new)
        with raising(self._address):
            return (await self._stub.DiffPrompts(request, **self._call)).diff


def _content(content: Mapping[str, Any]) -> prompt_pb2.PromptContent:
    try:
        return ParseDict(dict(content), prompt_pb2.PromptContent())
    except ParseError as error:
        raise InvalidError("INVALID_ARGUMENT", f"not a prompt: {error}") from error
