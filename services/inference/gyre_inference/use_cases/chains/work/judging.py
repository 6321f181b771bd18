"""Steps that judge: guard, verify."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import numpy as np

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import FinishReason
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import Found, sentences_of
from gyre_inference.domain.refusals import refusal
from gyre_inference.domain.values import Written
from gyre_inference.domain.words import held_terms, language_of, terms
from gyre_inference.ports import SentenceVectors
from gyre_inference.use_cases.chains.events import StepEvent, StepText
from gyre_inference.use_cases.chains.run import Doing
from gyre_inference.use_cases.chains.running import Steps

_END = re.compile(r"(?<=[.!?])\s+")
_MARK = re.compile(r"\s*\[\d[\d,\s]*\]")
_FALSE = ("", "false", "no", "0", "none")
_TEXTS = 256
_LONGEST = 600
_LEAST = 0.6


class Guard:
    """Lets the chain go on, or ends it with `otherwise`."""

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        passed = is_true(doing.given["that"])
        doing.output = {"passed": passed}
        doing.run.ledger.judge(doing.step.name, "passed" if passed else "stopped")
        if passed:
            return
        text = str(doing.given.get("otherwise") or refusal("en"))
        doing.run.ledger.said(text)
        yield StepText(doing.step_id, text, True)
        doing.run.finish(Written(text, finish=FinishReason.REFUSED), FinishReason.REFUSED)


class Verify:
    """How much of a text the sources support: each of its sentences is compared with theirs, by
    words and by meaning; the better of both counts."""

    def __init__(self, vectors: SentenceVectors) -> None:
        self._vectors = vectors

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        least = float(doing.given.get("least") or _LEAST)  # type: ignore[arg-type]
        claims = _sentences(str(doing.given["text"]))
        lines = _lines(doing)[: _TEXTS - len(claims)]
        supports = await self._supports(claims, lines)
        weak = [claim for claim, support in zip(claims, supports, strict=True) if support < least]
        share = 1 - len(weak) / len(claims) if claims else 0.0
        doing.output = {
            "supported": bool(claims) and not weak,
            "share": round(share, 4),
            "unsupported": weak,
        }
        doing.run.ledger.judge(doing.step.name, f"{share:.2f} supported")
        return
        yield

    async def _supports(self, claims: list[str], lines: list[str]) -> list[float]:
        if not claims or not lines:
            return [0.0] * len(claims)
        vectors = np.asarray(await self._vectors.vectors([*claims, *lines]), np.float32)
        cosines = (vectors[: len(claims)] @ vectors[len(claims) :].T).max(axis=1)
        return [
            max(_share(claim, lines), float(cosine))
            for claim, cosine in zip(claims, cosines, strict=True)
        ]


def is_true(value: object) -> bool:
    """A text that says no is none, as templates make texts."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def _sentences(text: str) -> list[str]:
    """Without the marks of citations, at most half of what is compared at once."""
    parts = (_MARK.sub("", part).strip() for part in _END.split(text))
    return [part for part in parts if any(map(str.isalnum, part))][: _TEXTS // 2]


def _lines(doing: Doing) -> list[str]:
    match doing.given["against"]:
        case Found() as found:
            return [sentence.line for sentence in sentences_of(found, _LONGEST)]
        case Grounds() as grounds:
            return [sentence.line for sentence in grounds.sentences]
        case str() as text:
            return _sentences(text)
        case list() | tuple() as texts:
            return [str(text) for text in texts]
    raise InvalidRequest(
        {f"{doing.step_id}.against": "must be passages, sentences, a text or a list of texts"}
    )


def _share(claim: str, lines: list[str]) -> float:
    """Largest share of the claim's words that one line holds."""
    language = language_of(claim)
    asked = set(terms(claim, language))
    if not asked:
        return 0.0
    return max(len(held_terms(asked, line, language)) / len(asked) for line in lines)
