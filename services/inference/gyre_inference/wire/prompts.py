"""Versions of prompts and chains as messages and back."""

from __future__ import annotations

from collections.abc import Sequence

from gyre.inference.v1 import chain_pb2, prompt_pb2

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.prompts import (
    Choose,
    Example,
    Examples,
    Grounding,
    Order,
    PromptContent,
    Style,
)
from gyre_inference.domain.registry import Move, Version
from gyre_inference.wire.answers import parameters, parameters_of


def prompt_content(content: PromptContent) -> prompt_pb2.PromptContent:
    """What a version says."""
    message = prompt_pb2.PromptContent(
        description=content.description,
        system=content.system,
        user=content.user,
        arguments=sorted(content.arguments),
        parameters=parameters(content.parameters),
    )
    if content.examples is not None:
        message.examples.CopyFrom(_examples(content.examples))
    if content.grounding is not None:
        message.grounding.CopyFrom(_grounding(content.grounding))
    return message


def content_of(message: prompt_pb2.PromptContent) -> PromptContent:
    """What a client registers. Raises `InvalidRequest` for words that are not known."""
    return PromptContent(
        user=message.user,
        system=message.system,
        arguments=frozenset(message.arguments),
        parameters=parameters_of(message.parameters),
        examples=_examples_of(message.examples) if message.HasField("examples") else None,
        grounding=_grounding_of(message.grounding) if message.HasField("grounding") else None,
        description=message.description,
    )


def prompt_version(
    version: Version, labels: Sequence[str], content: PromptContent | None = None
) -> prompt_pb2.PromptVersion:
    """A version; lists leave its content out."""
    message = prompt_pb2.PromptVersion(
        name=version.key.name,
        version=version.number,
        content=prompt_content(content) if content else None,
        digest=version.digest,
        message=version.message,
        author=version.author,
        labels=labels,
    )
    message.register_time.FromDatetime(version.time)
    return message


def chain_version(
    version: Version, labels: Sequence[str], *, whole: bool = True
) -> chain_pb2.ChainVersion:
    """A version; lists leave its definition out."""
    message = chain_pb2.ChainVersion(
        name=version.key.name,
        version=version.number,
        definition=version.body if whole else "",
        digest=version.digest,
        message=version.message,
        author=version.author,
        labels=labels,
    )
    message.register_time.FromDatetime(version.time)
    return message


def label_move(move: Move) -> prompt_pb2.LabelMove:
    """Where a label was and where it is."""
    message = prompt_pb2.LabelMove(
        label=move.label,
        from_version=move.from_number,
        to_version=move.to_number,
        author=move.author,
        message=move.message,
    )
    message.move_time.FromDatetime(move.time)
    return message


def _examples(examples: Examples) -> prompt_pb2.PromptExamples:
    items = [prompt_pb2.PromptExample(user=i.user, assistant=i.assistant) for i in examples.items]
    return prompt_pb2.PromptExamples(
        choose=examples.choose.value, count=examples.count, by=examples.by, items=items
    )


def _examples_of(message: prompt_pb2.PromptExamples) -> Examples:
    _check("examples.choose", message.choose, Choose)
    return Examples(
        items=tuple(Example(item.user, item.assistant) for item in message.items),
        choose=Choose(message.choose),
        count=message.count,
        by=message.by,
    )


def _grounding(grounding: Grounding) -> prompt_pb2.PromptGrounding:
    return prompt_pb2.PromptGrounding(
        style=grounding.style.value,
        order=grounding.order.value,
        sentences=grounding.sentences,
        longest=grounding.longest,
        refusal=grounding.refusal,
    )


def _grounding_of(message: prompt_pb2.PromptGrounding) -> Grounding:
    _check("grounding.style", message.style, Style)
    _check("grounding.order", message.order, Order)
    return Grounding(
        Style(message.style),
        Order(message.order),
        message.sentences,
        message.longest,
        message.refusal,
    )


def _check(field: str, word: str, words: type[Choose] | type[Style] | type[Order]) -> None:
    known = [one.value for one in words]
    if word not in known:
        raise InvalidRequest({field: f"must be {' or '.join(f'`{one}`' for one in known)}"})
