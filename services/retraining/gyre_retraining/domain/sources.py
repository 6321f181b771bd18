"""What datasets are made of, as it was heard. A float that is a time: seconds since 1970 (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

BOOLEAN, NUMBER, CATEGORY, TEXT, ERROR = "boolean", "number", "category", "text", "error"
CORRECTION = "correction"
"""Name of the reserved metric whose text is the answer as it should have been."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; role: `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that an answer was given. rank: from 1. text: empty where the record has none,
    as is usual: `ChunkText` has it."""

    chunk_id: str
    document_id: str
    revision: int = 0
    rank: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer that was given. time: when its request arrived. finished: the model ended it, it
    was not cut off. refused: it says that the documents hold no answer."""

    answer_id: str
    question: str
    completion: str
    messages: tuple[Message, ...] = ()
    prompt_name: str = ""
    prompt_version: str = ""
    prompt_arguments: Mapping[str, str] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()
    collection: str = ""
    model: str = ""
    model_version: str = ""
    principal: str = ""
    end_user: str = ""
    workload: str = ""
    language: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    time: float = 0.0
    finished: bool = True
    refused: bool = False
    erased: bool = False

    @property
    def prompt(self) -> str:
        """`name/version`, as features name it; empty for plain chat."""
        return f"{self.prompt_name}/{self.prompt_version}" if self.prompt_name else ""


class Level(StrEnum):
    """What a judgement is about."""

    ANSWER = "answer"
    CHAIN = "chain"
    STEP = "step"
    CHUNK = "chunk"


class State(IntEnum):
    """How far a revision has come; of several at one revision the highest holds, in whichever
    order they were heard."""

    RECORDED = 0
    QUARANTINED = 1
    RELEASED = 2
    DROPPED = 3
    WITHDRAWN = 4

    @property
    def counts(self) -> bool:
        return self in (State.RECORDED, State.RELEASED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One revision of a judgement. value: of the kind that `value_kind` says. time: when it was
    given, as far as it is known, else when it was recorded."""

    principal: str
    feedback_id: str
    revision: int
    answer_id: str
    metric: str
    level: Level
    value_kind: str
    value: bool | float | str
    chunk_id: str = ""
    source_kind: str = "person"
    rater: str = ""
    time: float = 0.0
    state: State = State.RECORDED
    erased: bool = False

    @property
    def account(self) -> str:
        """Whose vote it is: the caller's, or that of one of its raters."""
        return f"{self.principal}/{self.rater}" if self.rater else self.principal

    @property
    def judgement_id(self) -> str:
        """`principal:feedback_id`: feedback ids are unique within their caller only."""
        return f"{self.principal}:{self.feedback_id}"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A judgement was withdrawn, quarantined, released or dropped at a revision; it may be heard
    before the judgement itself."""

    principal: str
    feedback_id: str
    revision: int
    state: State


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's word on an answer. labels: question of the rubric -> label. Of several by one
    reviewer on one item the latest by `time` counts."""

    item_id: str
    answer_id: str
    reviewer: str
    declined: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    correction: str = ""
    time: float = 0.0
    erased: bool = False

    @property
    def review_id(self) -> str:
        return f"{self.item_id}:{self.reviewer}"


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A passage of one revision of a document. ordinal: its place in the document."""

    chunk_id: str
    document_id: str
    revision: int
    text: str
    ordinal: int = 0
    collection: str = ""
    language: str = ""
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at `as_of`, less what was erased since. judgements: the newest revision of
    each, with its state then. Each in the order of its ids."""

    tenant: str
    as_of: float
    answers: tuple[RecordedAnswer, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    reviews: tuple[Review, ...] = ()
    chunks: tuple[ChunkText, ...] = ()
