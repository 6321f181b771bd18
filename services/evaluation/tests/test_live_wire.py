"""Recorded answers as the service sees them, and its tables as its migrations make them."""

from __future__ import annotations

import json
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from gyre.inference.v1.answer_pb2 import ChatMessage, FinishReason
from gyre_evaluation.adapters.live import store
from gyre_evaluation.adapters.offline import datasets
from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity
from gyre_evaluation.domain.live import Outcome, facts, traits_of
from gyre_evaluation.wire.alerts import alert_from, alert_raised
from gyre_evaluation.wire.live import live_answer
from live_world import NOON, answer, opened, record

assert store
assert datasets  # both bring their tables into the metadata


def test_a_question_is_found_in_records_that_did_not_say_it_yet() -> None:
    old = {"question": ""}
    told = {"question": json.dumps("Wie kündige ich?")}
    spoken = [ChatMessage(role="user", content="first"), ChatMessage(role="user", content="last")]
    assert answer(1, prompt_arguments=told, **old).question == "Wie kündige ich?"
    assert answer(1, messages=spoken, **old).question == "last"
    assert answer(1, messages=[], **old).question == ""


def test_what_the_prompt_was_given_are_the_passages() -> None:
    sentences = json.dumps([{"number": 1, "text": "One."}, {"number": 2, "text": ""}])
    assert answer(1, prompt_arguments={"sentences": sentences}).passages == ("One.",)
    assert answer(1, prompt_arguments={"passages": json.dumps(["Two."])}).passages == ("Two.",)
    assert answer(1, prompt_arguments={"passages": json.dumps("no list")}).passages == ()


def test_an_answer_ends_as_its_record_and_status_say() -> None:
    refused = record(finish_reason=FinishReason.FINISH_REASON_REFUSED)
    ends = [("", refused), ("", record()), ("UNAVAILABLE", refused), ("CANCELLED", record())]
    found = [live_answer(one, "acme", status).outcome for status, one in ends]
    assert found == [Outcome.REFUSED, Outcome.ANSWERED, Outcome.FAILED, Outcome.LEFT]


def test_the_tenant_is_the_envelopes_and_never_the_records() -> None:
    assert live_answer(record(tenant="victim"), "acme").tenant == "acme"


def test_labels_that_nobody_asked_for_make_no_slices() -> None:
    labels = {"segment": "gold", "user": "somebody@example.com"}
    traits = traits_of(answer(1, metadata=labels), "en", frozenset({"segment"}))
    assert traits.slices == {"segment": "gold", "collection": "manuals", "language": "en"}


def test_only_an_answer_has_numbers_of_an_answer() -> None:
    refused = answer(1, finish_reason=FinishReason.FINISH_REASON_REFUSED, retrieved_chunks=[])
    assert facts(refused).keys() == {"question_characters", "question_words"}
    assert {"retrieval_score", "output_tokens"} <= facts(answer(1)).keys()


def test_plain_chat_is_traffic_of_its_own() -> None:
    chat = answer(1, collection="", workload="generate")
    assert chat.traffic.scope == "workload=generate"


def test_an_alert_is_read_as_it_was_said() -> None:
    alert = Alert(
        "acme",
        AlertKind.DRIFT,
        Severity.WARNING,
        NOON,
        "language (de) moved",
        metric="language",
        slice="collection=manuals",
        answer_ids=("a1",),
    )
    assert alert_from(alert_raised(alert), "acme") == alert


async def test_the_migrations_make_the_tables_that_are_declared(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as database, database.reading() as connection:
        differences = await connection.run_sync(
            lambda bound: compare_metadata(MigrationContext.configure(bound), database.metadata)
        )
    assert differences == []
