"""Versions of prompts and chains as the client gives them back, and moves of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from gyre.inference.v1 import chain_pb2, prompt_pb2, service_pb2


@dataclass(frozen=True)
class LabelMove:
    """A label was moved; from_version is 0 when it was new."""

    label: str
    from_version: int
    to_version: int
    author: str
    message: str
    move_time: datetime

    @classmethod
    def read(cls, message: prompt_pb2.LabelMove) -> LabelMove:
        """From the wire."""
        return cls(
            message.label,
            message.from_version,
            message.to_version,
            message.author,
            message.message,
            message.move_time.ToDatetime(tzinfo=UTC).astimezone(),
        )


@dataclass(frozen=True)
class PromptVersion:
    """One version of a prompt. content: fields as in a file; empty in lists."""

    name: str
    version: int
    labels: tuple[str, ...]
    message: str
    author: str
    register_time: datetime
    digest: str
    content: Mapping[str, Any]

    @classmethod
    def read(cls, message: prompt_pb2.PromptVersion) -> PromptVersion:
        """From the wire."""
        return cls(
            name=message.name,
            version=message.version,
            labels=tuple(message.labels),
            message=message.message,
            author=message.author,
            register_time=message.register_time.ToDatetime(tzinfo=UTC).astimezone(),
            digest=message.digest,
            content=MessageToDict(message.content, preserving_proto_field_name=True),
        )


@dataclass(frozen=True)
class ChainVersion:
    """One version of a chain. definition: its YAML; empty in lists."""

    name: str
    version: int
    labels: tuple[str, ...]
    message: str
    author: str
    register_time: datetime
    digest: str
    definition: str

    @classmethod
    def read(cls, message: chain_pb2.ChainVersion) -> ChainVersion:
        """From the wire."""
        return cls(
            name=message.name,
            version=message.version,
            labels=tuple(message.labels),
            message=message.message,
            author=message.author,
            register_time=message.register_time.ToDatetime(tzinfo=UTC).astimezone(),
            digest=message.digest,
            definition=message.definition,
        )


@dataclass(frozen=True)
class Registered:
    """What became of a version, or would. diff: to the newest one before it."""

    version: PromptVersion | ChainVersion
    is_new: bool
    diff: str
    moves: tuple[LabelMove, ...]

    @classmethod
    def read(
        cls, message: service_pb2.RegisterPromptResponse | service_pb2.RegisterChainResponse
    ) -> Registered:
        """From the wire."""
        version = (
            PromptVersion.read(message.version)
            if isinstance(message, service_pb2.RegisterPromptResponse)
            else ChainVersion.read(message.version)
        )
        moves = tuple(map(LabelMove.read, message.moves))
        return cls(version, message.is_new, message.diff, moves)
