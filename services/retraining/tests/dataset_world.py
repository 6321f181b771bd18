"""A small world of sources for tests of datasets: who asked what, and what was thought of it."""

from __future__ import annotations

import random
from dataclasses import replace

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.rows import Row
from gyre_retraining.domain.sources import (
    BOOLEAN,
    CORRECTION,
    TEXT,
    ChunkText,
    Judgement,
    Level,
    Message,
    Passage,
    RecordedAnswer,
    Review,
    Snapshot,
)

AS_OF = 1_000_000.0


def _words(text: str) -> list[str]:
    return text.split()


ANIMALS = _words("otter badger heron falcon beaver salmon lynx marten vole kestrel")
PLACES = _words("river forest meadow harbour valley island quarry orchard moor canal")
FOODS = _words("berries beetles herring acorns frogs mussels clover seeds moths crayfish")
ANIMALS = [
    "otter",
    "badger",
    "heron",
    "falcon",
    "beaver",
    "salmon",
    "lynx",
    "marten",
    "vole",
    "kestrel",
]
PLACES = [
    "river",
    "forest",
    "meadow",
    "harbour",
    "valley",
    "island",
    "quarry",
    "orchard",
    "moor",
    "canal",
]
FOODS = [
    "berries",
    "beetles",
    "herring",
    "acorns",
    "frogs",
    "mussels",
    "clover",
    "seeds",
    "moths",
    "crayfish",
]


def question(number: int) -> str:
    """No two are nearly the same: they share at most three words of eight."""
    animal, place = ANIMALS[number % 10], PLACES[number // 10 % 10]
    return f"What does {animal} {number} eat beside {place} w{number * 7} in v{number * 3}?"


def fact(number: int) -> str:
    food = FOODS[(number * 3) % 10]
    return f"In year {1900 + number} it ate {food} {number} and nothing but {food} k{number * 5}."


def answer(number: int, **changes: object) -> RecordedAnswer:
    asked = question(number)
    one = RecordedAnswer(
        answer_id=f"answer-{number:04}",
        question=asked,
        completion=f"[1] {fact(number)}",
        messages=(Message("user", f"Sentences:\n[1] {fact(number)}\n\nQuestion: {asked}"),),
        prompt_name="grounded",
        prompt_version="2",
        passages=(Passage(f"chunk-{number}", f"document-{number}", 1, 1),),
        model="reader",
        model_version="v1",
        end_user=f"user-{number % 7}",
        workload="answer",
        language="de" if number % 3 == 0 else "en",
        metadata={"consent": "yes"},
        time=float(number),
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def thumb(number: int, up: bool, account: str = "", **changes: object) -> Judgement:
    one = Judgement(
        principal="backend",
        feedback_id=f"thumb-{number}-{account}",
        revision=1,
        answer_id=f"answer-{number:04}",
        metric="helpful",
        level=Level.ANSWER,
        value_kind=BOOLEAN,
        value=up,
        rater=account or f"rater-{number % 11}",
        time=1000.0 + 100.0 * number,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def correction(number: int, text: str, account: str = "") -> Judgement:
    words = {"feedback_id": f"fix-{number}-{account}", "metric": CORRECTION}
    return thumb(number, True, account, value_kind=TEXT, value=text, **words)


def passage_thumb(number: int, chunk_id: str, up: bool, account: str = "") -> Judgement:
    names = {"feedback_id": f"passage-{number}-{chunk_id}-{account}", "metric": "relevant"}
    return thumb(number, up, account, level=Level.CHUNK, chunk_id=chunk_id, **names)


def chunk(number: int) -> ChunkText:
    return ChunkText(f"chunk-{number}", f"document-{number}", 1, fact(number), 0, "help", "en")


def snapshot(*said: RecordedAnswer | Judgement | Review | ChunkText) -> Snapshot:
    return Snapshot(
        tenant="acme",
        as_of=AS_OF,
        answers=tuple(one for one in said if isinstance(one, RecordedAnswer)),
        judgements=tuple(one for one in said if isinstance(one, Judgement)),
        reviews=tuple(one for one in said if isinstance(one, Review)),
        chunks=tuple(one for one in said if isinstance(one, ChunkText)),
    )


def busy(count: int = 60, seed: int = 1) -> Snapshot:
    """`count` questions with answers, thumbs, corrections and judged passages, in any order."""
    chance = random.Random(seed)
    said: list[RecordedAnswer | Judgement | Review | ChunkText] = []
    for number in range(count):
        said += [answer(number), chunk(number), thumb(number, number % 4 != 0)]
        said.append(passage_thumb(number, f"chunk-{number}", True))
        said.append(passage_thumb(number, f"chunk-{(number + 1) % count}", False))
        if number % 4 == 0:
            said.append(correction(number, f"Rather this, of {number}: {fact(number + 500)}"))
    chance.shuffle(said)
    return snapshot(*said)


def settings(form: str, **changes: object) -> AssemblySettings:
    return replace(AssemblySettings(form), **changes)  # type: ignore[arg-type]


def plain_row(asked: str, taught: str = "It is so.", **changes: object) -> Row:
    one = Row(
        form="demonstrations",
        question=asked,
        content={"messages": [{"role": "user", "content": asked}], "completion": taught},
        taught=(taught,),
        sources=(("answer", asked),),
        language="en",
        slices={"language": "en"},
    )
    return replace(one, **changes)  # type: ignore[arg-type]
