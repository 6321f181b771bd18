"""Prompts are registered, looked at and rendered."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gyre_inference.domain.generation import Message
from gyre_inference.domain.prompt_text import content_of, digest_of, readable, stored
from gyre_inference.domain.prompts import Prompt, PromptContent
from gyre_inference.domain.registry import Draft, Version
from gyre_inference.use_cases.prompting import Prompting
from gyre_inference.use_cases.versions import Versions


def content_in(version: Version) -> PromptContent:
    """What a version says."""
    return content_of(json.loads(version.body))


def prompt_in(version: Version) -> Prompt:
    """The version, ready to be rendered."""
    return Prompt(version.key.name, str(version.number), content_in(version), version.digest)


def readable_prompt(body: str) -> str:
    """For people."""
    return readable(content_of(json.loads(body)))


class ManagePrompts:
    """What people do with prompts."""

    def __init__(self, versions: Versions, prompting: Prompting) -> None:
        self.versions = versions
        self._prompting = prompting

    def draft(
        self, content: PromptContent, message: str, author: str, labels: tuple[str, ...]
    ) -> Draft:
        """A version to keep. Raises `InvalidRequest` where the content or its templates break a
        rule."""
        self._prompting.check(content)
        body = stored(content)
        return Draft(body, digest_of(body), message, author, labels)

    async def render(
        self, tenant: str, name: str, wanted: str, arguments: Mapping[str, object]
    ) -> tuple[Version, tuple[Message, ...]]:
        """The messages that a model would get. Raises `NotFound`, `InvalidRequest`."""
        shown, _ = await self.versions.get(tenant, name, wanted)
        messages = await self._prompting.messages(prompt_in(shown.version), arguments)
        return shown.version, messages
