"""What a model is asked by a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from gyre_inference.domain.editing import GroundedText, Verbatim
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import Message, ModelRequest
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import one_line
from gyre_inference.domain.prompts import Prompt, Style
from gyre_inference.use_cases.chains.run import Doing, Writing

Arguments = Mapping[str, object]
_ROLES = ("system", "user", "assistant")


def request_of(
    doing: Doing, writing: Writing, messages: tuple[Message, ...], grounds: Grounds | None
) -> ModelRequest:
    """With what is left of the run's budget."""
    run = doing.run
    most, left = writing.parameters.max_tokens, run.tokens_left
    limit = left if most is None else min(most, left)
    return ModelRequest(
        model=writing.model,
        messages=messages,
        parameters=replace(writing.parameters, max_tokens=limit),
        tenant=run.ledger.tenant,
        request_id=run.ledger.answer_id
        if doing.is_output
        else f"{run.ledger.answer_id}-{doing.step_id}",
        choices=choices_of(writing.prompt, grounds),
        timeout=run.time_left,
    )


def choices_of(prompt: Prompt | None, grounds: Grounds | None) -> tuple[str, ...]:
    """Of a prompt that quotes: one for each sentence, and the refusal."""
    grounding = prompt.content.grounding if prompt else None
    if grounds is None or grounding is None or grounding.style is not Style.QUOTE:
        return ()
    quotes = (f"[{n}] {item.line}" for n, item in enumerate(grounds.sentences, start=1))
    return (*quotes, grounding.refusal)


def editor_for(prompt: Prompt | None, grounds: Grounds | None) -> GroundedText | Verbatim:
    """Checks citations where there is something to cite."""
    grounding = prompt.content.grounding if prompt else None
    if grounds is None or grounding is None:
        return Verbatim()
    return GroundedText(grounding, grounds.sentences, grounds.refusal)


def arguments_of(doing: Doing, grounds: Grounds | None) -> Arguments:
    """What the prompt may use: the step's own, and what the sentences bring along."""
    given = doing.given.get("arguments") or {}
    if not isinstance(given, Mapping):
        raise InvalidRequest({f"{doing.step_id}.arguments": "must be a mapping"})
    question = (
        {"question": one_line(str(doing.given["question"]))} if "question" in doing.given else {}
    )
    if grounds is None:
        return {**question, **given}
    return {**grounds.arguments(str(question.get("question", ""))), **given}


def given_messages(doing: Doing) -> tuple[Message, ...]:
    """Plain chat. Raises `InvalidRequest`."""
    turns = turns_in(doing, doing.given.get("messages"))
    if not turns or turns[-1].role != "user":
        raise InvalidRequest({f"{doing.step_id}.messages": "the last message must be the user's"})
    return tuple(turns)


def turns_in(doing: Doing, data: object) -> list[Message]:
    """Messages as `{role, content}`."""
    if not isinstance(data, list | tuple):
        raise InvalidRequest({f"{doing.step_id}.messages": "must be a list of role and content"})
    try:
        turns = [Message(str(one["role"]), str(one["content"])) for one in data]
    except (TypeError, KeyError):
        raise InvalidRequest({f"{doing.step_id}.messages": "each needs role and content"}) from None
    if any(turn.role not in _ROLES for turn in turns):
        raise InvalidRequest({f"{doing.step_id}.messages": f"roles are {', '.join(_ROLES)}"})
    return turns


def told_as_json(arguments: Arguments) -> dict[str, str]:
    """For the answer's record."""
    return {
        name: json.dumps(value, ensure_ascii=False, default=str)
        for name, value in arguments.items()
    }
