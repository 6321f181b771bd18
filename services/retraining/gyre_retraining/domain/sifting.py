"""Filters of sources, before rows are made of them: each says how many it left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gyre_retraining.domain.assembly import AssemblySettings
from gyre_retraining.domain.evidence import Correction, Evidence
from gyre_retraining.domain.opinions import REVIEW, Vote, votes
from gyre_retraining.domain.poisoning import bursts, contrary_accounts
from gyre_retraining.domain.scales import Scales
from gyre_retraining.domain.similarity import key
from gyre_retraining.domain.sources import (
    CORRECTION,
    TEXT,
    Judgement,
    Level,
    RecordedAnswer,
    Review,
    Snapshot,
    State,
)


@dataclass(frozen=True, slots=True)
class FilterCount:
    """How many a filter left out: of sources, or of rows."""

    filter: str
    rows: int


def sift(
    snapshot: Snapshot, settings: AssemblySettings, scales: Scales
) -> tuple[Evidence, list[FilterCount]]:
    """What rows may be made of.

    In order: `withdrawn`, `quarantined` (dropped ones too), `erased`, `no_consent` (answers),
    `without_answer` (judgements whose answer never came, or has no consent),
    `poisoned_accounts`, `bursts`.
    """
    counts: list[FilterCount] = []
    judgements = _counting(snapshot, counts)
    reviews = [one for one in snapshot.reviews if not one.erased and not one.declined]
    counts.append(FilterCount("erased", _erased(snapshot)))
    answers = _consenting(snapshot, settings, counts)
    known = [one for one in judgements if one.answer_id in answers]
    looked_at = [one for one in reviews if one.answer_id in answers]
    lost = len(judgements) + len(reviews) - len(known) - len(looked_at)
    counts.append(FilterCount("without_answer", lost))
    given = votes(known, looked_at, scales, settings.metrics)
    said = _corrections(known, looked_at)
    clean, kept = _unpoisoned(given, said, answers, settings, counts)
    chunks = {one.chunk_id: one for one in snapshot.chunks if not one.erased}
    return Evidence(settings, answers, chunks, clean, kept), counts


def _erased(snapshot: Snapshot) -> int:
    answers, judgements = snapshot.answers, snapshot.judgements
    said = sum(one.erased for one in answers) + sum(one.erased for one in judgements)
    reviews, chunks = snapshot.reviews, snapshot.chunks
    return said + sum(one.erased for one in reviews) + sum(one.erased for one in chunks)


def _counting(snapshot: Snapshot, counts: list[FilterCount]) -> list[Judgement]:
    kept = snapshot.judgements
    for name, states in (
        ("withdrawn", (State.WITHDRAWN,)),
        ("quarantined", (State.QUARANTINED, State.DROPPED)),
    ):
        counts.append(FilterCount(name, sum(one.state in states for one in kept)))
    return [one for one in kept if one.state.counts and not one.erased]


def _consenting(
    snapshot: Snapshot, settings: AssemblySettings, counts: list[FilterCount]
) -> dict[str, RecordedAnswer]:
    """Erased answers stay where their question is known: it has passages."""
    known = [one for one in snapshot.answers if one.question]
    name, values = settings.consent_key, {one.casefold() for one in settings.consent_values}
    agreed = [one for one in known if not name or one.metadata.get(name, "").casefold() in values]
    counts.append(FilterCount("no_consent", len(known) - len(agreed)))
    return {one.answer_id: one for one in agreed}


def _corrections(judgements: list[Judgement], reviews: list[Review]) -> list[Correction]:
    """In the order of their sources."""
    found = [
        Correction(
            one.answer_id, str(one.value), one.account, ("judgement", one.judgement_id), one.time
        )
        for one in judgements
        if one.metric == CORRECTION
        and one.value_kind == TEXT
        and one.level in (Level.ANSWER, Level.CHAIN)
        and str(one.value).strip()
    ]
    found += [
        Correction(one.answer_id, one.correction, one.reviewer, (REVIEW, one.review_id), one.time)
        for one in reviews
        if one.correction.strip()
    ]
    return sorted(found, key=lambda one: one.source)


def _unpoisoned(
    given: list[Vote],
    said: list[Correction],
    answers: Mapping[str, RecordedAnswer],
    settings: AssemblySettings,
    counts: list[FilterCount],
) -> tuple[list[Vote], list[Correction]]:
    """A contrary account's corrections are left out with its votes."""

    def thing(vote: Vote) -> tuple[str, str]:
        """Alike for all answers that say the same to a question, and for their passages."""
        answer = answers[vote.answer_id]
        return key(answer.question), vote.chunk_id or f"answer {key(answer.completion)}"

    contrary = contrary_accounts(given, thing, settings.chance)
    trusted = [one for one in given if one.account not in contrary]
    kept = [one for one in said if one.account not in contrary]
    left_out = len(given) + len(said) - len(trusted) - len(kept)
    counts.append(FilterCount("poisoned_accounts", left_out))
    hasty = bursts(trusted, settings)
    slow = [one for one in trusted if one.source not in hasty]
    counts.append(FilterCount("bursts", len(trusted) - len(slow)))
    return slow, kept
