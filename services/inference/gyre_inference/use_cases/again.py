"""An earlier answer once more, from the template arguments that its record holds.

It is no chain of the registry: a tenant that replaces `answer` replays through its prompts alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from gyre_inference.domain.chains import Budget, Chain, Step, StepKind
from gyre_inference.domain.grounds import arguments_in, grounds_of

WORKLOAD = "replay"
_GIVEN = ("question", "grounds", "arguments")
_ANSWER = Step("answer", StepKind.GENERATE, {name: f"{{{{ {name} }}}}" for name in _GIVEN})
CHAIN = Chain(
    name=WORKLOAD,
    version="1",
    digest="replay-1",
    steps=(_ANSWER,),
    output=_ANSWER.name,
    needed=frozenset(_GIVEN),
    budget=Budget(tokens=1_000_000, seconds=3600.0),
)


def inputs_of(question: str, recorded: Mapping[str, str]) -> dict[str, object]:
    """What the model was given counts, also where the question was put into other words before.
    Raises `InvalidRequest`."""
    arguments = arguments_in(recorded)
    grounds = grounds_of(arguments)
    asked = str(arguments.pop("question", "") or question)
    others = {name: arguments[name] for name in arguments.keys() - {"sentences", "language"}}
    return {"question": asked, "grounds": grounds, "arguments": others}
