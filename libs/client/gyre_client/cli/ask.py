"""`gyre ask`: a question, its answer as it streams, and the sentences it rests on."""

from __future__ import annotations

from typing import Annotated

import typer

from gyre_client.cli.output import CollectionName, Json, console, print_json, run
from gyre_client.client import AnswerEvent, Gyre
from gyre_client.models import AnswerDone, AnswerStarted, Citation, TextDelta, Timings


def ask(
    question: Annotated[str, typer.Argument(help="The question, in your own words.")],
    collection: CollectionName = "default",
    conversation: Annotated[str, typer.Option(help="Conversation it belongs to.")] = "",
    as_json: Json = False,
) -> None:
    """Answer a question from the collection's documents, with citations.

    Example: gyre ask "How do I set up call forwarding?"
    """
    run(_ask(question, collection, conversation, as_json))


async def _ask(question: str, collection: str, conversation: str, as_json: bool) -> None:
    async with Gyre() as gyre:
        events = gyre.answer(question, collection=collection, conversation_id=conversation)
        async for event in events:
            if as_json:
                print_json({"event": type(event).__name__, **vars(event)})
            else:
                show(event)


def show(event: AnswerEvent) -> None:
    """Prints one event of an answer for people."""
    match event:
        case TextDelta(text):
            console.print(text, end="", markup=False, soft_wrap=True)
        case AnswerDone() as done:
            console.print()
            for citation in done.citations:
                console.print(f"  {_cited(citation)}", markup=False, style="cyan", soft_wrap=True)
            console.print(f"  {_spent(done.timings, done)}", style="dim", soft_wrap=True)
        case AnswerStarted():
            pass


def _cited(citation: Citation) -> str:
    place = " > ".join((citation.title, *citation.heading_path[-1:]))
    page = f", page {citation.page}" if citation.page else ""
    return f"[{citation.number}] {place}{page} ({citation.source_uri}): “{citation.sentence}”"


def _spent(timings: Timings, done: AnswerDone) -> str:
    first = timings.time_to_first_token
    shown = "no token" if first is None else f"first token {first * 1000:.0f} ms"
    return (
        f"{done.finish_reason} · {shown} · total {timings.total * 1000:.0f} ms · search "
        f"{timings.retrieval * 1000:.0f} ms · selection {timings.selection * 1000:.0f} ms · model "
        f"{timings.model * 1000:.0f} ms · platform's overhead {timings.overhead * 1000:.1f} ms"
    )
