"""All kinds of steps."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_inference.domain.chains import StepKind
from gyre_inference.domain.policy import Policy
from gyre_inference.ports import HttpTools, LanguageModel, PassageSearch, SentenceVectors
from gyre_inference.use_cases.chains.running import Work
from gyre_inference.use_cases.chains.work.asking import Embed, Http
from gyre_inference.use_cases.chains.work.finding import Retrieve, Select
from gyre_inference.use_cases.chains.work.judging import Guard, Verify
from gyre_inference.use_cases.chains.work.nesting import Branch, Map
from gyre_inference.use_cases.chains.work.writing import Condense, Generate
from gyre_inference.use_cases.choosing import Chooser
from gyre_inference.use_cases.prompting import Prompting
from gyre_inference.use_cases.rollouts.shadowing import Shadows


def every_kind(
    search: PassageSearch,
    vectors: SentenceVectors,
    model: LanguageModel,
    tools: HttpTools,
    prompting: Prompting,
    policy: Policy,
    shadows: Shadows,
) -> Mapping[StepKind, Work]:
    """Over their neighbours."""
    return {
        StepKind.RETRIEVE: Retrieve(search, policy.top_k),
        StepKind.SELECT: Select(Chooser(vectors, policy)),
        StepKind.GENERATE: Generate(model, prompting, shadows),
        StepKind.EMBED: Embed(vectors),
        StepKind.HTTP: Http(tools),
        StepKind.GUARD: Guard(),
        StepKind.CONDENSE: Condense(model, prompting),
        StepKind.VERIFY: Verify(vectors),
        StepKind.BRANCH: Branch(),
        StepKind.MAP: Map(),
    }
