"""A small knowledge base, and the service over it with its neighbours in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gyre_inference.adapters.built_in import CHAINS, PROMPTS, built_in_chains, built_in_prompts
from gyre_inference.adapters.memory import (
    MemoryLanguageModel,
    MemoryPassageSearch,
    MemoryRecords,
    MemorySentenceVectors,
)
from gyre_inference.adapters.memory_chains import MemoryChainRuns, MemoryHttpTools
from gyre_inference.adapters.memory_registry import MemoryExperiments, MemoryRegistry
from gyre_inference.adapters.memory_rollouts import MemoryRollouts
from gyre_inference.adapters.templates import JinjaTemplates
from gyre_inference.domain.passages import Passage
from gyre_inference.domain.policy import Policy
from gyre_inference.domain.record import Caller
from gyre_inference.use_cases import AnswerQuestion, GenerateText, RunChain
from gyre_inference.use_cases.stories import Neighbours, Stories

CALLER = Caller("acme", "ada", trace_id="0" * 31 + "1")
ROAMING = (
    "Roaming in the European Union costs the same as at home. "
    "Outside of it every megabyte costs 9 cents. "
    "You switch roaming on in the settings of your phone."
)
CANCEL = (
    "You can cancel your contract one month before it ends. "
    "Send the cancellation by letter or in the app. "
    "We confirm every cancellation within two days."
)
KUENDIGUNG = (
    "Sie können Ihren Vertrag einen Monat vor dem Ende kündigen. "
    "Wir bestätigen jede Kündigung innerhalb von zwei Tagen."
)


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that another task or process does; 5 s at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nothing tells when it is so
            await asyncio.sleep(0.005)


def passage(text: str, name: str, **facts: Any) -> Passage:
    """A passage whose sentences end with a full stop."""
    spans = tuple(match.span() for match in re.finditer(r"[^ ][^.]*\.", text))
    known = {"title": name.title(), "source_uri": f"help/{name}.md", "language": "en"}
    return Passage(f"{name}-1", name, 3, 0, text, spans, **{**known, **facts})


def help_centre() -> list[Passage]:
    """Three articles, one of them in German."""
    return [
        passage(ROAMING, "roaming", heading_path=("Abroad", "Prices"), page=2),
        passage(CANCEL, "cancel"),
        passage(KUENDIGUNG, "kündigung", language="de"),
    ]


@dataclass
class World:
    """The service's middle, and everything it talks to. `begin` it before it is asked."""

    search: MemoryPassageSearch = field(
        default_factory=lambda: MemoryPassageSearch({"default": help_centre()})
    )
    vectors: MemorySentenceVectors = field(default_factory=MemorySentenceVectors)
    model: MemoryLanguageModel = field(default_factory=MemoryLanguageModel)
    tools: MemoryHttpTools = field(default_factory=MemoryHttpTools)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    runs: MemoryChainRuns = field(default_factory=MemoryChainRuns)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    policy: Policy = field(
        default_factory=lambda: Policy("gyre-reader", frozenset({"gyre-reader", "other"}))
    )

    def __post_init__(self) -> None:
        self.experiments = MemoryExperiments(self.registry)
        self.rollouts = MemoryRollouts(self.experiments)
        self.stories = self.new_process()

    async def begin(self) -> World:
        """What the platform brings along is in force."""
        await start(self.stories)
        return self

    def new_process(self) -> Stories:
        """Another process over the same neighbours, not begun."""
        return Stories(
            Neighbours(
                self.search,
                self.vectors,
                self.model,
                self.tools,
                JinjaTemplates(),
                self.registry,
                self.experiments,
                self.runs,
                self.records,
                self.rollouts,
            ),
            self.policy,
        )

    @property
    def answers(self) -> AnswerQuestion:
        return self.stories.answers

    @property
    def texts(self) -> GenerateText:
        return self.stories.texts

    @property
    def chains(self) -> RunChain:
        return self.stories.chain_runs


async def start(stories: Stories) -> None:
    """As a process does."""
    files = [
        *built_in_prompts(PROMPTS, stories.prompts),
        *built_in_chains(CHAINS, stories.chains),
    ]
    await stories.begin(files)
