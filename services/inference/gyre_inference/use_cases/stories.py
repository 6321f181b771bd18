"""All stories of the service over one set of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gyre_inference.domain.policy import Policy
from gyre_inference.domain.registry import Kind
from gyre_inference.ports import (
    ChainRuns,
    Experiments,
    HttpTools,
    LanguageModel,
    PassageSearch,
    Records,
    Registry,
    Rollouts,
    SentenceVectors,
    Templates,
)
from gyre_inference.use_cases.answer import AnswerQuestion, Chains
from gyre_inference.use_cases.built_in import BuiltIn, BuiltInFile
from gyre_inference.use_cases.chains.kinds import every_kind
from gyre_inference.use_cases.chains.preparing import Preparing
from gyre_inference.use_cases.chains.running import ChainRunner
from gyre_inference.use_cases.generate import GenerateText
from gyre_inference.use_cases.in_force import InForce, Shelved
from gyre_inference.use_cases.manage_chains import ManageChains, chain_in
from gyre_inference.use_cases.manage_experiments import ManageExperiments
from gyre_inference.use_cases.prompting import Prompting
from gyre_inference.use_cases.prompts import ManagePrompts, prompt_in, readable_prompt
from gyre_inference.use_cases.rollouts.gating import HearGates
from gyre_inference.use_cases.rollouts.hearing import HearJudgements
from gyre_inference.use_cases.rollouts.managing import ManageRollouts
from gyre_inference.use_cases.rollouts.observing import ObservedRecords, Observer
from gyre_inference.use_cases.rollouts.shadowing import Shadows
from gyre_inference.use_cases.run_chain import RunChain
from gyre_inference.use_cases.versions import Versions


@dataclass(frozen=True)
class Neighbours:
    """What the stories talk to."""

    search: PassageSearch
    vectors: SentenceVectors
    model: LanguageModel
    tools: HttpTools
    templates: Templates
    registry: Registry
    experiments: Experiments
    runs: ChainRuns
    records: Records
    rollouts: Rollouts


class Stories:
    """They share what is in force."""

    def __init__(
        self,
        to: Neighbours,
        policy: Policy,
        *,
        pause: float = 0.5,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """pause, failed: see `InForce`."""
        self._registry = to.registry
        self.prompting = Prompting(to.templates, to.vectors)
        self.in_force = InForce(
            to.registry,
            to.experiments,
            to.rollouts,
            Shelved(Kind.PROMPT, prompt_in),
            Shelved(Kind.CHAIN, partial(chain_in, names_of=to.templates.names)),
            pause=pause,
            failed=failed,
        )
        self.shadows = Shadows(
            to.rollouts, self.in_force, to.model, self.prompting, to.vectors, failed=failed
        )
        self.observer = Observer(to.rollouts, lost=failed)
        records = ObservedRecords(to.records, self.observer)
        kinds = every_kind(
            to.search, to.vectors, to.model, to.tools, self.prompting, policy, self.shadows
        )
        chains = Chains(
            self.in_force, Preparing(self.in_force, policy), ChainRunner(kinds, to.templates)
        )
        changed = self.in_force.refresh
        self.answers = AnswerQuestion(chains, records, policy)
        self.texts = GenerateText(to.model, records, self.in_force, policy, self.shadows)
        self.chain_runs = RunChain(chains, to.runs, records, policy, self.observer)
        self.prompts = ManagePrompts(
            Versions(to.registry, Kind.PROMPT, readable_prompt, changed), self.prompting
        )
        self.chains = ManageChains(
            Versions(to.registry, Kind.CHAIN, str, changed), to.templates.names
        )
        self.experiments = ManageExperiments(to.experiments, self.in_force, policy, changed)
        self.rollouts = ManageRollouts(to.rollouts, self.in_force, policy, changed)
        self.hearing = HearJudgements(to.rollouts, to.experiments)
        self.gates = HearGates(to.rollouts)

    async def begin(self, files: Sequence[BuiltInFile]) -> None:
        """What the platform brings along is in force when it returns."""
        await BuiltIn(self._registry, files).register()
        await self.in_force.refresh()
