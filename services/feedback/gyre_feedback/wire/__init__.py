"""Nouns of the domain as messages and back."""

from gyre_feedback.wire.answers import answer_came, answer_from, answer_to
from gyre_feedback.wire.judgements import judgement_from, judgement_to, state_code, state_from
from gyre_feedback.wire.metrics import metric_from, metric_to
from gyre_feedback.wire.times import stamp

__all__ = [
    "answer_came",
    "answer_from",
    "answer_to",
    "judgement_from",
    "judgement_to",
    "metric_from",
    "metric_to",
    "stamp",
    "state_code",
    "state_from",
]
