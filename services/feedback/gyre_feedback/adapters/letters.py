"""The dead letter of a judgement whose answer never came."""

from __future__ import annotations

from datetime import UTC, datetime

from gyre.feedback.v1.events_pb2 import FeedbackSubmitted
from gyre_runtime.events.envelope import MESSAGE_ID, Envelope, Outgoing, encode_value, headers_of
from gyre_runtime.events.letters import ORIGINAL
from gyre_runtime.events.names import DEAD_LETTERS, dead_letter_subject, event_name, subject_of

from gyre_feedback.domain.judgements import Judgement
from gyre_feedback.wire import judgement_to

SOURCE = "gyre/feedback"
REASON = "answer_never_came"
LETTER = "letter-"


def letter(tenant: str, judgement: Judgement, letter_id: str, detail: str) -> Outgoing:
    """letter_id: names the event within; whoever redrives it makes the judgement wait again."""
    event = FeedbackSubmitted(feedback=judgement_to(judgement))
    about = {
        "gyre-reason": REASON,
        "gyre-detail": detail,
        "gyre-attempts": "0",
        "gyre-listener": "feedback",
        "gyre-origin-stream": "FEEDBACK",
        "gyre-origin-subject": subject_of(FeedbackSubmitted, tenant),
        "gyre-origin-sequence": "0",
    }
    envelope = Envelope(
        event_id=letter_id,
        type=event.DESCRIPTOR.full_name,
        source=SOURCE,
        time=datetime.now(UTC),
        entity_id=judgement.target.place,
        tenant=tenant,
        correlation_id=letter_id,
        causation_id="",
    )
    originals = {
        f"{ORIGINAL}{name.lower()}": value
        for name, value in headers_of(envelope).items()
        if name != MESSAGE_ID
    }
    headers = {name: encode_value(value) for name, value in about.items()}
    return Outgoing(
        event_id=letter_id,
        subject=dead_letter_subject("feedback", event_name(FeedbackSubmitted), tenant),
        stream=DEAD_LETTERS,
        headers=headers | originals | {MESSAGE_ID: letter_id},
        body=event.SerializeToString(deterministic=True),
    )
