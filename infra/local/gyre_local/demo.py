"""`make demo`: ingest documents, ask five questions, judge answers, compare and promote prompts."""

from __future__ import annotations

import re
from pathlib import Path

from gyre_client import ClientSettings, Gyre
from gyre_client.cli.ask import show
from gyre_client.cli.ingest import named_files
from gyre_client.cli.uploads import ingest_files
from gyre_client.models import AnswerStarted, Document, DocumentState
from gyre_demo.questions import KNOWLEDGE_BASE, read_questions
from rich.console import Console
from rich.rule import Rule

from gyre_local.feedback import judge
from gyre_local.judging import evaluate
from gyre_local.platform import relative
from gyre_local.promoting import promote

QUESTIONS = 5


async def demo(console: Console, environment: Path, docs: Path | None) -> None:
    """Tells the story on `console`; raises GyreError. environment: the addresses' file."""
    folder = docs or KNOWLEDGE_BASE
    collection = collection_of(docs)
    files = list(named_files([folder]))
    console.print(Rule(f"{len(files)} documents from {relative(folder.resolve())}"))
    async with Gyre(ClientSettings(_env_file=environment)) as gyre:
        documents = await ingest_files(gyre, files, collection)
        answer_ids = []
        for question in questions_to(docs, documents):
            console.print(Rule(question, style="bold"))
            async for event in gyre.answer(question, collection=collection):
                show(event)
                if isinstance(event, AnswerStarted):
                    answer_ids.append(event.answer_id)
        if docs is None:
            await judge(console, gyre, answer_ids)
            await evaluate(console, gyre, environment.with_name("prompts.html"))
            await promote(console, gyre)
    console.print(Rule())
    console.print(_what_next(collection), markup=False)


def questions_to(docs: Path | None, documents: list[Document]) -> list[str]:
    """The demo's own questions, or the titles of the person's own documents."""
    if docs is None:
        return [one.question for one in read_questions() if one.demo][:QUESTIONS]
    indexed = (one for one in documents if one.state is DocumentState.INDEXED)
    return list(dict.fromkeys(one.title or one.source_uri for one in indexed))[:QUESTIONS]


def collection_of(docs: Path | None) -> str:
    """A person's own folder is a collection of its own, named after it."""
    if docs is None:
        return "default"
    return re.sub(r"[^a-z0-9_-]+", "-", docs.resolve().name.lower()).strip("-")[:64] or "documents"


def _what_next(collection: str) -> str:
    own = "" if collection == "default" else f"--collection {collection} "
    return (
        f'Ask the next question:  .venv/bin/gyre ask {own}"..."\n'
        "See what runs:          make status\n"
        "Stop the platform:      make down"
    )
