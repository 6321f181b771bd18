"""The state of a document, under events that come late, twice and in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from gyre_ingestion.domain.documents import (
    Content,
    Document,
    DocumentState,
    Rejection,
    RevisionName,
)
from gyre_ingestion.domain.lifecycle import (
    Arrival,
    Findings,
    concerns,
    cut,
    delete,
    embed,
    fail_embedding,
    index,
    receive,
    refuse,
    reprocess,
    unindex,
)
from gyre_ingestion.domain.parsed import RejectionReason
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 1, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 6, tzinfo=UTC)
MASK = PersonalDataPolicy.MASK
BAD = Rejection(RejectionReason.CORRUPT, "It is damaged.")
NO_VECTORS = Rejection(RejectionReason.NOT_EMBEDDED, "The model is gone.")


def arrival(text: str) -> Arrival:
    return Arrival("acme", "default", "a", {}, Content(f"memory://{text}", text, len(text)))


def findings(parts: int, text: str = "t") -> Findings:
    return Findings("", "text/plain", "en", parts, parts, 0, text)


def received() -> Document:
    return receive(None, arrival("one"), MASK, NOW)


def current(document: Document) -> RevisionName:
    return RevisionName(document.document_id, "default", document.revision, document.attempt)


def test_a_document_is_embedded_when_its_last_part_is_and_indexed_when_search_finds_it() -> None:
    document = cut(received(), findings(2), NOW)
    assert document.state is DocumentState.CHUNKED
    document = embed(document, 1, NOW)
    assert document.state is DocumentState.CHUNKED
    document = embed(document, 0, NOW)
    assert document.state is DocumentState.EMBEDDED
    document = index(document, current(document), LATER)
    assert document.state is DocumentState.INDEXED
    assert document.update_time == LATER


def test_a_part_that_the_revision_does_not_have_changes_nothing() -> None:
    document = cut(received(), findings(2), NOW)
    assert embed(document, 2, NOW) is document
    assert embed(document, -1, NOW) is document


def test_a_new_revision_is_received_while_the_old_one_is_still_found() -> None:
    document = cut(received(), findings(1), NOW)
    document = index(embed(document, 0, NOW), current(document), NOW)
    document = receive(document, arrival("two"), MASK, NOW)
    assert document.state is DocumentState.RECEIVED
    assert document.searchable.revision == 1


def test_an_index_event_of_an_earlier_attempt_does_not_finish_a_reprocessing() -> None:
    document = cut(received(), findings(1), NOW)
    late = current(document)
    document = reprocess(document, MASK, NOW)
    assert index(document, late, NOW).state is DocumentState.RECEIVED


def test_a_deletion_keeps_the_name_and_the_count_only() -> None:
    document = cut(received(), replace(findings(1), title="A title"), NOW)
    document = delete(replace(document, metadata={"team": "one"}), LATER)
    assert document.state is DocumentState.DELETED
    assert (document.title, document.metadata, document.held) == ("", {}, None)
    assert (document.source_uri, document.revision) == ("a", 1)
    assert reprocess(document, MASK, LATER) is document


Event = Callable[[Document], Document]


@dataclass
class World:
    """The database row, and events on their way to it, each kept for ever as on the bus."""

    document: Document = field(default_factory=received)
    events: list[Event] = field(default_factory=list)

    def command(self, step: int) -> None:
        """What the service does itself, in order; the events that follow from it are on the way."""
        verbs = [
            self._upload,
            self._cut,
            self._cut_badly,
            self._refuse,
            self._reprocess,
            self._delete,
        ]
        verbs[step % len(verbs)]()

    def _upload(self) -> None:
        text = f"{self.document.revision + 1}"
        self.document = receive(self.document, arrival(text), MASK, NOW)

    def _cut(self) -> None:
        if self.document.state is DocumentState.RECEIVED:
            self.document = cut(self.document, findings(3, self.document.revision_id), NOW)
            name = current(self.document)
            self.events += [self._embedded(name, part) for part in range(3)]
            self.events.append(lambda document: index(document, name, NOW))

    def _cut_badly(self) -> None:
        if self.document.state is DocumentState.RECEIVED:
            self.document = cut(self.document, findings(2, self.document.revision_id), NOW)
            name = current(self.document)
            self.events.append(self._embedded(name, 0))
            self.events.append(lambda document: fail_embedding(document, name, NO_VECTORS, NOW))

    def _refuse(self) -> None:
        if self.document.state is DocumentState.RECEIVED:
            self.document = refuse(self.document, BAD, NOW)

    def _reprocess(self) -> None:
        self.document = reprocess(self.document, MASK, NOW)

    def _delete(self) -> None:
        revision = self.document.revision
        self.document = delete(self.document, NOW)
        self.events.append(lambda document: unindex(document, revision, NOW))

    def _embedded(self, name: RevisionName, part: int) -> Event:
        return lambda document: embed(document, part, NOW) if concerns(document, name) else document

    def hear(self, events: list[Event]) -> None:
        for event in events:
            self.document = event(self.document)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.integers(0, 5), max_size=12), seed=st.integers())
def test_late_repeated_and_shuffled_events_end_where_the_ordered_run_ends(
    steps: list[int], seed: int
) -> None:
    ordered, shuffled, order = World(), World(), Random(seed)
    for step in steps:
        ordered.command(step)
        ordered.hear(ordered.events)
        shuffled.command(step)
        if shuffled.events:
            shuffled.hear(order.choices(shuffled.events, k=order.randrange(4)))
    shuffled.hear(order.sample(shuffled.events * 3, k=3 * len(shuffled.events)))
    assert shuffled.document == replace(ordered.document, update_time=shuffled.document.update_time)
