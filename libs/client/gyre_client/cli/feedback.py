"""`gyre feedback`: judge answers, see what people think, decide what is suspicious."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.feedback import RESERVED
from gyre_client.judgements import Feedback, Metric, Score, Value

app = typer.Typer(help="Judge answers and see what people think.", no_args_is_help=True)

AnswerId = Annotated[str, typer.Argument(help="Id of the answer, as `gyre ask --json` tells it.")]
MetricName = Annotated[str, typer.Option("--metric", help="Only this metric.")]
YES, NO = ("yes", "true", "up", "1"), ("no", "false", "down", "0")


class EntityKind(StrEnum):
    """What is scored."""

    PROMPT = "prompt"
    MODEL = "model"
    VARIANT = "variant"
    CHUNK = "chunk"
    DOCUMENT = "document"
    SEGMENT = "segment"


@app.command("give")
def give(
    answer_id: AnswerId,
    metric: Annotated[str, typer.Argument(help="A declared metric, comment or correction.")],
    value: Annotated[str, typer.Argument(help="yes, no, a number, a category or a text.")],
    chunk: Annotated[str, typer.Option(help="The passage that is judged.")] = "",
    rater: Annotated[str, typer.Option(help="Pseudonym of the person who judged.")] = "",
    rationale: Annotated[str, typer.Option(help="Why.")] = "",
    feedback_id: Annotated[str, typer.Option("--id", help="To edit: the id of before.")] = "",
    revision: Annotated[int, typer.Option(min=1, help="To edit: higher than before.")] = 1,
    as_json: Json = False,
) -> None:
    """Judge an answer, or one of its passages.

    Example: gyre feedback give 01890a5d-ac96-774b-bcce-b302099a8057 helpful yes
    """
    run(_give(answer_id, metric, value, (chunk, rater, rationale, feedback_id), revision, as_json))


@app.command("withdraw")
def withdraw(
    feedback_id: Annotated[str, typer.Argument(help="Id from `gyre feedback list`.")],
    principal: Annotated[str, typer.Option(help="Whose, for operators.")] = "",
    as_json: Json = False,
) -> None:
    """Take a judgement back.

    Example: gyre feedback withdraw 3f0c2a9e-0c1f-4f0b-9a51-7d0c7e2a2b11
    """
    run(_withdraw(feedback_id, principal, as_json))


@app.command("list")
def list_feedback(
    answer: Annotated[str, typer.Option(help="Only about this answer.")] = "",
    metric: MetricName = "",
    state: Annotated[str, typer.Option(help="waiting, recorded, quarantined, ...")] = "",
    prompt: Annotated[str, typer.Option(help="Only of this prompt: name or name/version.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List judgements, newest first, with the answer that they met.

    Example: gyre feedback list --prompt answer/1 --metric helpful
    """
    run(_list((answer, metric, state, prompt), limit, as_json))


@app.command("scores")
def scores(
    kind: Annotated[EntityKind, typer.Argument(help="Of what.")] = EntityKind.PROMPT,
    entity: Annotated[str, typer.Option(help="Only this one; `name/`: all its versions.")] = "",
    metric: MetricName = "",
    as_json: Json = False,
) -> None:
    """Show what people think of prompts, models, variants, passages, documents or segments.

    Example: gyre feedback scores prompt --entity answer/
    """
    run(_scores(kind, entity, metric, as_json))


@app.command("declare")
def declare(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _.")],
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="boolean, number, category, text.")],
    level: Annotated[str, typer.Option(help="answer, chain, step or chunk.")] = "answer",
    direction: Annotated[
        str, typer.Option(help="more_is_better, less_is_better or none.")
    ] = "more_is_better",
    minimum: Annotated[float, typer.Option(help="Of numbers.")] = 0.0,
    maximum: Annotated[float, typer.Option(help="Of numbers.")] = 0.0,
    category: Annotated[
        list[str] | None, typer.Option(help="From worst to best; repeatable.")
    ] = None,
    description: Annotated[str, typer.Option(help="One sentence.")] = "",
    as_json: Json = False,
) -> None:
    """Declare a metric. It cannot be changed afterwards, but for its description.

    Example: gyre feedback declare stars number --minimum 1 --maximum 5
    """
    words = (type_, level, direction)
    try:
        metric = Metric(name, *words, minimum, maximum, tuple(category or ()), description)
        metric.message()
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from error
    run(_declare(metric, as_json))


@app.command("metrics")
def metrics(as_json: Json = False) -> None:
    """List the declared metrics.

    Example: gyre feedback metrics
    """
    run(_metrics(as_json))


@app.command("quarantine")
def quarantine(
    reason: Annotated[str, typer.Option(help="rate, duplicate or collusion.")] = "",
    release: Annotated[bool, typer.Option("--release", help="Let them count.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Never count them.")] = False,
    only: Annotated[list[str] | None, typer.Option("--id", help="Only these; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """List suspicious judgements, and release or drop them.

    Example: gyre feedback quarantine --reason duplicate --drop
    """
    if release and drop:
        raise typer.BadParameter("give --release or --drop, not both")
    run(_quarantine(reason, (release, drop), only or [], as_json))


@app.command("features")
def features(
    kind: Annotated[EntityKind, typer.Argument(help="Of what.")],
    entity: Annotated[str, typer.Argument(help="Which one, e.g. answer/1.")],
    metric: Annotated[str, typer.Argument(help="By which metric.")],
    as_json: Json = False,
) -> None:
    """Show an entity's features from the online store.

    Example: gyre feedback features prompt answer/1 helpful
    """
    run(_features(kind, entity, metric, as_json))


async def _give(
    answer_id: str, metric: str, text: str, more: tuple[str, ...], revision: int, as_json: bool
) -> None:
    chunk, rater, rationale, feedback_id = more
    async with Gyre() as gyre:
        value = await _value(gyre, metric, text)
        kept = await gyre.feedback.give(
            answer_id,
            metric,
            value,
            chunk_id=chunk,
            rater=rater,
            rationale=rationale,
            feedback_id=feedback_id,
            revision=revision,
        )
    _show([kept], as_json)


async def _value(gyre: Gyre, metric: str, text: str) -> Value:
    """By the metric's type; what does not fit goes on as it is, and the service says why not."""
    types = (
        {} if metric in RESERVED else {one.name: one.type for one in await gyre.feedback.metrics()}
    )
    kind = types.get(metric, "text")
    if kind == "boolean" and text.lower() in (*YES, *NO):
        return text.lower() in YES
    if kind == "number":
        try:
            return float(text)
        except ValueError:
            raise typer.BadParameter(f"{metric} is a number, not {text!r}") from None
    return text


async def _withdraw(feedback_id: str, principal: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        _show([await gyre.feedback.withdraw(feedback_id, principal=principal)], as_json)


async def _list(conditions: tuple[str, ...], limit: int, as_json: bool) -> None:
    answer, metric, state, prompt = conditions
    found: list[Feedback] = []
    async with Gyre() as gyre:
        pages = gyre.feedback.list(answer_id=answer, metric=metric, state=state, prompt=prompt)
        async for one in pages:
            found.append(one)
            if len(found) == limit:
                break
    _show(found, as_json)


async def _scores(kind: EntityKind, entity: str, metric: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.feedback.scores(kind.value, entity_id=entity, metric=metric)
    if as_json:
        print_json(found)
        return
    table = Table(kind.value, "metric", "score", "mean", "judgements", "accounts", "young")
    for one in found:
        table.add_row(*_score_row(one))
    console.print(table if found else "Nobody judged any yet.")


async def _declare(metric: Metric, as_json: bool) -> None:
    async with Gyre() as gyre:
        declared = await gyre.feedback.declare(metric)
    if as_json:
        print_json(declared)
    else:
        console.print(f"declared {declared.name}: {declared.type} of an {declared.level}")


async def _metrics(as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.feedback.metrics()
    if as_json:
        print_json(found)
        return
    table = Table("name", "type", "level", "direction", "values", "description")
    for one in found:
        values = ", ".join(one.categories) or (
            f"{one.minimum:g} to {one.maximum:g}" if one.type == "number" else ""
        )
        table.add_row(one.name, one.type, one.level, one.direction, values, one.description)
    console.print(table)


async def _quarantine(
    reason: str, decision: tuple[bool, bool], only: list[str], as_json: bool
) -> None:
    release, drop = decision
    async with Gyre() as gyre:
        found = await gyre.feedback.quarantine(reason=reason)
        chosen = [one for one in found if not only or one.feedback_id in only]
        if chosen and (release or drop):
            for start in range(0, len(chosen), 1000):
                await gyre.feedback.decide(chosen[start : start + 1000], counts=release)
    _show(chosen, as_json)
    if (release or drop) and not as_json:
        console.print(f"{'released' if release else 'dropped'} {len(chosen)}")


async def _features(kind: EntityKind, entity: str, metric: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        found = await gyre.feedback.features(kind.value, entity, metric)
    if as_json:
        print_json(found)
        return
    table = Table("feature", "value")
    for name, value in found.values.items():
        table.add_row(name, f"{value:.4g}")
    console.print(table if found.values else "Nothing is known of it.")


def _score_row(one: Score) -> tuple[str, ...]:
    counts = (one.judgements, one.accounts, one.young_accounts)
    return (one.entity_id, one.metric, f"{one.score:.3f}", f"{one.mean:.3f}", *map(str, counts))


def _show(found: list[Feedback], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table("id", "answer", "metric", "value", "state", "by", "prompt", "why")
    for one in found:
        by = f"{one.principal}/{one.rater}" if one.rater else one.principal
        place = f"{one.answer_id}\n{one.chunk_id}" if one.chunk_id else one.answer_id
        row = (one.feedback_id, place, one.metric, str(one.value), one.state, by, one.prompt)
        table.add_row(*row, one.detail)
    console.print(table if found else "Nothing.")
