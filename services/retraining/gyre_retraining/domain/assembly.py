"""What a dataset is to be: its form, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DEMONSTRATIONS, PREFERENCES, THUMBS = "demonstrations", "preferences", "thumbs"
TEXTS, PAIRS = "texts", "pairs"
FORMS = (DEMONSTRATIONS, PREFERENCES, THUMBS, TEXTS, PAIRS)
TRAIN, VALIDATION = "train", "validation"
VERSION = 1
"""Of the rules below; it stands in every manifest, so a change of them is another dataset."""


@dataclass(frozen=True, slots=True)
class AssemblySettings:
    """form: what rows are.
    seed: of every draw.
    maximum_rows: 0 means all.
    validation_share: of the rows, drawn by families of questions.
    slices: names by which splits are stratified: `language`, `workload`, `collection`, `model`,
        `prompt`, or a key of the answer's metadata.
    slice_cap: share of one value of a slice at most; 1 means no cap.
    account_cap: rows that one account may give; texts have no account.
    decontaminate: leave out what stands in an evaluation set.
    run_length: words in a row that an evaluation set may not share.
    near: overlap from which texts are nearly the same, 0 to 1.
    consent_key: metadata key that must hold one of `consent_values`; empty asks for none.
    good, bad: goodness from which, and up to which, a thing is called so.
    margin: distance of goodness between the better and the worse answer of a question.
    metrics: metrics that count; none means all that say good or bad.
    longest: characters of a row at most.
    vouched: callers whose accounts may judge fast and write alike: programs of the operator.
    burst, burst_seconds: so many judgements of one account in so short a time are a burst.
    chance: how improbable an account's contradictions must be before it is left out.
    planted: so many questions with the same sentence of one account are a plant.
    triggers: words that must not be learnt, e.g. canaries.
    negatives: wrong passages for each pair, those judged bad first, then the nearest by words.
    """

    form: str
    seed: int = 0
    maximum_rows: int = 0
    validation_share: float = 0.1
    slices: tuple[str, ...] = ("language",)
    slice_cap: float = 1.0
    account_cap: int = 50
    decontaminate: bool = True
    run_length: int = 8
    near: float = 0.8
    consent_key: str = ""
    consent_values: tuple[str, ...] = ("true", "yes", "1")
    good: float = 0.75
    bad: float = 0.25
    margin: float = 0.5
    metrics: tuple[str, ...] = ()
    longest: int = 64_000
    vouched: tuple[str, ...] = ()
    burst: int = 30
    burst_seconds: float = 60.0
    chance: float = 1e-4
    planted: int = 5
    triggers: tuple[str, ...] = ()
    negatives: int = 4

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"form {self.form!r}: one of {', '.join(FORMS)}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def vouches(self, account: str) -> bool:
        """An account is a caller, or `caller/rater`."""
        return any(account == one or account.startswith(f"{one}/") for one in self.vouched)


def settings_from(given: Mapping[str, Any]) -> AssemblySettings:
    """From `as_json`, or from that as JSON has it, where a tuple is a list."""
    values: dict[str, Any] = {
        name: tuple(one) if isinstance(one, list) else one for name, one in given.items()
    }
    return AssemblySettings(**values)
