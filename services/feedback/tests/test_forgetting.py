"""A person is forgotten: as one who was answered, and as one who judged; the others stay."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from gyre.feedback.v1.events_pb2 import FeedbackForgotten, FeedbackRecorded
from gyre_feedback.adapters.forgetting import eraser
from gyre_feedback.adapters.tables import MIGRATIONS, metadata
from gyre_feedback.domain.answers import AnswerCame
from gyre_feedback.domain.judgements import Judgement, Source, Target
from gyre_feedback.domain.reviews import Review, ReviewReason
from gyre_runtime.database import Database
from gyre_runtime.erasing import Eraser, Erasure

WORD = "quetzalcoatlus"


class Room:
    """The service without its doors, on a file, and its eraser."""

    def __init__(self, world: Any, file: Path) -> None:
        self.world, self.file = world, file
        self.failures: list[Exception] = []
        self.eraser: Eraser = eraser(world.database, self.failures.append)

    async def came(self, answer_id: str, user: str, asked: float | None = None) -> None:
        """An answer to this person, whose texts hold the person's own word."""
        when = datetime.fromtimestamp(asked or self.world.now, UTC)
        made: AnswerCame = self.world.make_answer(answer_id, end_user=user, request_time=when)
        said = replace(made, question=f"{WORD}-{user}", text=f"{WORD}-{user}")
        await self.world.meeting.meet("acme", said)

    async def comment(
        self, feedback_id: str, answer_id: str, rater: str, given: float | None = None
    ) -> Any:
        when = datetime.fromtimestamp(given or self.world.now, UTC)
        judgement = Judgement(
            feedback_id,
            1,
            Target(answer_id),
            "comment",
            f"{WORD}-{rater}",
            Source(rater=rater),
            rationale=f"{WORD}-{rater}",
            give_time=when,
            metadata={"page": f"{WORD}-{rater}"},
        )
        return await self.world.submitting.submit("acme", "shop", judgement)

    async def review(self, answer_id: str, word: str) -> None:
        await self.world.reviews.add("acme", answer_id, ReviewReason.SAMPLE)
        said = Review(answer_id, "rita", correction=word, comment=word)
        await self.world.reviews.complete("acme", said)

    async def sent(self) -> None:
        """The bus has everything."""
        outbox = self.world.database.tables.outbox
        async with self.world.database.transaction() as transaction:
            await transaction.connection.execute(sa.update(outbox).values(sent_time=1.0))

    async def forget(self, user: str) -> dict[str, int]:
        wanted = Erasure("e-1", "acme", user, self.world.now)
        await self.eraser.begin(wanted)
        said = len(await self.said(FeedbackRecorded))
        assert await self.eraser.advance() == bool(said)  # the bus lacks what was said
        await self.sent()
        assert not await self.eraser.advance()
        assert self.failures == []
        (said,) = await self.said(FeedbackForgotten)
        assert said.erasure_id == wanted.erasure_id
        return dict(said.erased)

    async def said(self, event: Any) -> list[Any]:
        outbox, name = self.world.database.tables.outbox, event.DESCRIPTOR.name
        query = sa.select(outbox.c.body, outbox.c.headers).order_by(outbox.c.position)
        async with self.world.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [event.FromString(row.body) for row in rows if f".{name}" in str(row.headers)]

    def bytes(self) -> bytes:
        files = self.file.parent.glob(f"{self.file.name}*")
        return b"".join(one.read_bytes() for one in files)


@pytest.fixture
async def room(
    tmp_path: Path, make_world: Callable[..., Any], make_answer: Callable[..., AnswerCame]
) -> AsyncIterator[Room]:
    file = tmp_path / "feedback.db"
    database = Database(f"sqlite+aiosqlite:///{file}", metadata, migrations=MIGRATIONS)
    await database.start()
    world = make_world(database)
    world.make_answer, world.now = make_answer, 1_700_000_000.0
    await world.declare()
    yield Room(world, file)
    await database.stop()


async def test_words_and_names_of_one_go_and_the_others_stay(room: Room) -> None:
    world = room.world
    for user in ("mallory", "bob"):
        await room.came(f"a-{user}", user)
        await room.review(f"a-{user}", f"{WORD}-{user}")
    await room.comment("f-1", "a-mallory", "mallory")
    await room.comment("f-2", "a-bob", "mallory")
    await room.comment("f-3", "a-bob", "bob")
    await room.comment("f-4", "a-mallory", "bob")  # may quote what mallory asked
    await world.judge("f-5", True, answer_id="a-bob", rater="mallory")
    before = await world.score()
    assert await room.forget("mallory") == {
        "answers": 2,  # under its own id and its chain run's
        "review_items": 1,
        "reviews": 1,
        "judgements_about": 2,
        "judgements": 3,
        "events": 5,
    }
    kept = room.bytes()
    assert b"mallory" not in re.sub(rb"(a|run-a)-mallory", b"", kept)
    assert kept.count(f"{WORD}-bob".encode()) >= 6
    assert await world.score() == before
    bobs = await world.kept("f-3")
    assert (bobs.judgement.value, bobs.judgement.source.rater) == (f"{WORD}-bob", "bob")
    gone = (await world.kept("f-2")).judgement
    assert (gone.value, gone.source.rater, gone.rationale, gone.metadata) == ("", "", "", {})
    withdrawn = await world.submitting.withdraw("acme", "shop", "f-5")
    assert withdrawn.judgement.withdrawn
    assert (await world.score()).judgements == before.judgements - 1


async def test_what_was_said_before_comes_late_without_its_words(room: Room) -> None:
    world = room.world
    await room.came("a-mallory", "mallory")
    await room.comment("f-1", "a-mallory", "mallory")
    await room.comment("f-waits", "a-late", "bob")
    then = world.now
    await room.forget("mallory")
    world.now += 60
    await room.came("a-late", "mallory", then - 5)
    await room.comment("f-1", "a-mallory", "mallory", then)  # a retry
    await room.comment("f-late", "a-mallory", "mallory", then)
    await room.comment("f-other", "a-mallory", "bob", then)
    kept = room.bytes()
    # A judgement that waited was kept without anybody knowing whose answer it would meet.
    assert f"{WORD}-mallory".encode() not in kept
    said = {one.feedback.feedback_id: one.feedback for one in await room.said(FeedbackRecorded)}
    assert said["f-late"].value.text == said["f-late"].source.rater == ""
    assert said["f-waits"].value.text == said["f-other"].value.text == ""


async def test_what_is_said_after_it_is_new(room: Room) -> None:
    world = room.world
    await room.came("a-mallory", "mallory")
    await room.forget("mallory")
    world.now += 60
    await room.came("a-new", "mallory")
    new = await room.comment("f-new", "a-new", "mallory")
    assert new.judgement.value == f"{WORD}-mallory"
    assert new.answer.end_user == "mallory"


async def test_another_tenants_person_of_that_name_stays(room: Room) -> None:
    await room.came("a-mallory", "mallory")
    wanted = Erasure("e-1", "globex", "mallory", room.world.now)
    await room.eraser.begin(wanted)
    await room.sent()
    await room.eraser.advance()
    (said,) = await room.said(FeedbackForgotten)
    assert dict(said.erased) == {}
    assert f"{WORD}-mallory".encode() in room.bytes()
