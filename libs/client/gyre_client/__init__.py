"""The typed async client of gyre.

async with Gyre() as gyre:
    await gyre.documents.upload(b"# Roaming ...", source_uri="roaming.md")
    async for event in gyre.answer("What does roaming cost?"):
        ...
"""

from gyre_client.client import Gyre
from gyre_client.errors import (
    GyreError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    OverloadedError,
    TimedOutError,
    UnavailableError,
)
from gyre_client.models import (
    AnswerDone,
    AnswerStarted,
    ChatMessage,
    Citation,
    Document,
    DocumentState,
    Hit,
    Parameters,
    TextDelta,
)
from gyre_client.settings import ClientSettings

__all__ = [
    "AnswerDone",
    "AnswerStarted",
    "ChatMessage",
    "Citation",
    "ClientSettings",
    "Document",
    "DocumentState",
    "Gyre",
    "GyreError",
    "Hit",
    "InvalidError",
    "NotAllowedError",
    "NotFoundError",
    "OverloadedError",
    "Parameters",
    "TextDelta",
    "TimedOutError",
    "UnavailableError",
]
