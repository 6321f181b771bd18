"""Before a run begins: its inputs, and the prompts and models that its steps write with."""

from __future__ import annotations

from collections.abc import Mapping

from gyre_inference.domain.chains import Chain, Step, StepKind
from gyre_inference.domain.choice import Choice
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import parameters_in
from gyre_inference.domain.policy import Policy
from gyre_inference.use_cases.assigning import served
from gyre_inference.use_cases.chains.run import Run, Writing
from gyre_inference.use_cases.in_force import InForce

_WRITING = (StepKind.GENERATE, StepKind.CONDENSE)
_CONDENSE = "condense"


class Preparing:
    """Everything that is named is there before the first step begins."""

    def __init__(self, in_force: InForce, policy: Policy) -> None:
        self._in_force = in_force
        self._policy = policy

    async def prepare(self, run: Run) -> None:
        """Raises `NotFound` for a prompt or model that does not exist, `InvalidRequest` for a
        prompt that does not suit its step."""
        for step in run.chain.every_step():
            if step.kind in _WRITING:
                run.writings[step.name] = await self._writing(step, run)
        self._note(run)

    async def _writing(self, step: Step, run: Run) -> Writing:
        choice = _said_by(step)
        if step.name in run.chain.output_steps:
            choice = run.choice.over(choice)
        model = served(self._in_force, self._policy, run.ledger.tenant, choice.model)
        defaults = self._policy.parameters
        if "messages" in step.arguments:
            return Writing(model, choice.parameters.over(defaults), None)
        name = choice.prompt_name or self._default(step)
        prompt = await self._in_force.prompt(run.ledger.tenant, name, choice.prompt_version)
        if "grounds" in step.arguments and prompt.content.grounding is None:
            raise InvalidRequest(
                {"prompt_name": f"{name!r} has no grounding: it is not for answers"}
            )
        parameters = choice.parameters.over(prompt.parameters).over(defaults)
        return Writing(model, parameters, prompt)

    def _default(self, step: Step) -> str:
        return _CONDENSE if step.kind is StepKind.CONDENSE else self._policy.prompt

    def _note(self, run: Run) -> None:
        chain, ledger = run.chain, run.ledger
        ledger.know(chain=chain.name, chain_version=chain.version)
        own = [one for name, one in run.writings.items() if name in chain.output_steps]
        if not own:
            ledger.know(config_hash=self._policy.config_hash(self._policy.model, chain.digest))
            return
        writing = own[0]
        digest = writing.prompt.digest if writing.prompt else ""
        ledger.know(
            model=writing.model,
            parameters=writing.parameters,
            prompt_name=writing.prompt.name if writing.prompt else "",
            prompt_version=writing.prompt.version if writing.prompt else "",
            config_hash=self._policy.config_hash(writing.model, digest, chain.digest),
        )


def inputs_of(chain: Chain, given: Mapping[str, object]) -> dict[str, object]:
    """With the defaults. Raises `InvalidRequest` for what is missing or not declared."""
    broken = {f"inputs.{name}": "is missing" for name in sorted(chain.needed - given.keys())}
    for name in sorted(given.keys() - chain.declared):
        told = ", ".join(sorted(chain.declared)) or "none"
        broken[f"inputs.{name}"] = f"is not declared; declared are {told}"
    if broken:
        raise InvalidRequest(broken)
    return {**chain.inputs, **given}


def _said_by(step: Step) -> Choice:
    arguments = step.arguments
    return Choice(
        prompt_name=str(arguments.get("prompt") or ""),
        prompt_version=str(arguments.get("version") or ""),
        model=str(arguments.get("model") or ""),
        parameters=parameters_in(arguments.get("parameters") or {}),
    )
