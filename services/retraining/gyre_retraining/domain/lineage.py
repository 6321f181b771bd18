"""What came from what: things, edges, and walks that end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gyre_retraining.domain.models import ModelVersion


class LineageInvalid(Exception):
    """No such kind of thing, or no id; the message says what there is."""


class ThingUnknown(Exception):
    """The tenant's lineage does not have it."""


class Kind(StrEnum):
    """Kinds of things."""

    ANSWER = "answer"
    MODEL = "model"
    TRAINING = "training"
    DATASET = "dataset"
    JUDGEMENT = "judgement"
    REVIEW = "review"
    DOCUMENT = "document"
    CHUNK = "chunk"
    USER = "user"


class Direction(StrEnum):
    """back: what it came from. forward: what came from it."""

    BACK = "back"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """id: of a model it is `name/version`."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Edge:
    """`later` came from `earlier`. A pair has one edge; the first relation stays."""

    later: Thing
    earlier: Thing
    relation: str


@dataclass(frozen=True, slots=True)
class Node:
    """label: for people, without content. time: when it came to be, where that is known."""

    thing: Thing
    label: str = ""
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What one event says about what came from what. Writing it twice changes nothing."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def time(self) -> datetime | None:
        """When it happened, where that is known."""
        return self.nodes[0].time if self.nodes else None

    @property
    def things(self) -> frozenset[Thing]:
        ends = (end for edge in self.edges for end in (edge.later, edge.earlier))
        return frozenset((*ends, *(one.thing for one in self.nodes)))

    def without(self, gone: Collection[Thing]) -> Facts:
        """Less those things and their edges."""
        if not gone:
            return self
        return Facts(
            tuple(one for one in self.nodes if one.thing not in gone),
            tuple(e for e in self.edges if e.later not in gone and e.earlier not in gone),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """nodes: the thing that was asked for is first. edges: indices of later and earlier in nodes.
    truncated: there is more than was asked for."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int, str], ...]
    truncated: bool


def answer_facts(
    answer_id: str,
    time: datetime,
    *,
    models: Iterable[str] = (),
    user: str = "",
    shown: Iterable[tuple[str, str]] = (),
) -> Facts:
    """models: `name/version`s that made it or found its passages. user: reference of the end user.
    shown: (chunk, document) of each passage."""
    answer = Thing(Kind.ANSWER, answer_id)
    passages = [(Thing(Kind.CHUNK, a), Thing(Kind.DOCUMENT, b)) for a, b in shown if a and b]
    edges = [Edge(answer, Thing(Kind.MODEL, one), "generated_by") for one in models if one]
    edges += [Edge(answer, document, "retrieved") for _, document in passages]
    edges += [Edge(answer, chunk, "retrieved") for chunk, _ in passages]
    edges += [Edge(chunk, document, "part_of") for chunk, document in passages]
    if user:
        edges.append(Edge(answer, Thing(Kind.USER, user), "shown_to"))
    return _facts([Node(answer, time=time)], edges)


def judgement_facts(
    judgement_id: str,
    time: datetime,
    *,
    metric: str,
    answer_id: str,
    user: str = "",
    chunk: str = "",
) -> Facts:
    """user: whoever gave it. chunk: the passage it is about, where it is about one."""
    judgement = Thing(Kind.JUDGEMENT, judgement_id)
    edges = [Edge(judgement, Thing(Kind.ANSWER, answer_id), "judged")]
    if chunk:
        edges.append(Edge(judgement, Thing(Kind.CHUNK, chunk), "judged"))
    if user:
        edges.append(Edge(judgement, Thing(Kind.USER, user), "given_by"))
    return _facts([Node(judgement, metric, time)], edges)


def review_facts(review_id: str, time: datetime, *, answer_id: str) -> Facts:
    """A completed review."""
    review = Thing(Kind.REVIEW, review_id)
    edges = [Edge(review, Thing(Kind.ANSWER, answer_id), "judged")]
    return _facts([Node(review, "review", time)], edges)


def dataset_facts(
    dataset_id: str, time: datetime, form: str, sources: Iterable[tuple[str, str]]
) -> Facts:
    """sources: (kind, id) of what its rows were made of, or a piece of them; a repeated one is
    nothing."""
    dataset = Thing(Kind.DATASET, dataset_id)
    edges = [Edge(dataset, Thing(Kind(kind), source), "holds") for kind, source in sources]
    return _facts([Node(dataset, form, time)], edges)


def model_facts(made: ModelVersion) -> Facts:
    """A version in the registry, its training, dataset and base model."""
    record, model = made.record, Thing(Kind.MODEL, made.model)
    nodes, edges = [Node(model, record.kind.value, record.register_time)], []
    content = Thing(Kind.MODEL, f"{CONTENT}{record.stored.content_hash}")
    edges.append(Edge(content, model, "files_of"))
    if record.base_model:
        edges.append(Edge(model, Thing(Kind.MODEL, record.base_model), "started_from"))
    if record.training_id:
        training = Thing(Kind.TRAINING, record.training_id)
        nodes.append(Node(training, record.making.recipe if record.making else ""))
        edges.append(Edge(model, training, "trained_by"))
        if record.dataset_id:
            edges.append(Edge(training, Thing(Kind.DATASET, record.dataset_id), "trained_on"))
        if record.base_model:
            edges.append(Edge(training, Thing(Kind.MODEL, record.base_model), "started_from"))
    return _facts(nodes, edges)


def served(model: str, version: str) -> str:
    """Id of the model that an answer names: by the SHA-256 of its files where it is told, because
    the model server's name for it is not the registry's."""
    if len(version) == SHA256 and version.isalnum():
        return f"{CONTENT}{version}"
    return f"{model}/{version}" if version else model


CONTENT, SHA256 = "content/", 64


def thing_of(kind: str, id: str) -> Thing:
    """Raises `LineageInvalid`."""
    if kind not in set(Kind):
        raise LineageInvalid(f"kind {kind[:40]!r}: one of {', '.join(Kind)}")
    if not id:
        raise LineageInvalid("the id is empty")
    return Thing(Kind(kind), id)


def _facts(nodes: list[Node], edges: list[Edge]) -> Facts:
    first: dict[tuple[Thing, Thing], Edge] = {}
    for edge in edges:
        first.setdefault((edge.later, edge.earlier), edge)
    return Facts(tuple(nodes), tuple(first.values()))
