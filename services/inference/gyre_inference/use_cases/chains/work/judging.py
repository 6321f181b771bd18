"""Steps that judge: guard, verify."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import FinishReason
from gyre_inference.domain.grounds import Grounds
from gyre_inference.domain.passages import Found, sentences_of
from gyre_inference.domain.refusals import refusal
from gyre_inference.domain.values import Written
from gyre_inference.ports import SentenceVectors
from gyre_inference.use_cases.chains.events import StepEvent, StepText
from gyre_inference.use_cases.chains.run import Doing
from gyre_inference.use_cases.chains.running import Steps
from gyre_inference.use_cases.grounding import LEAST, TEXTS, claims_of, supports

_FALSE = ("", "false", "no", "0", "none")
_LONGEST = 600


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
        least = float(doing.given.get("least") or LEAST)  # type: ignore[arg-type]
        claims = claims_of(str(doing.given["text"]))
        lines = _lines(doing)[: TEXTS - len(claims)]
        found = await supports(self._vectors, claims, lines)
        weak = [claim for claim, support in zip(claims, found, strict=True) if support < least]
        share = 1 - len(weak) / len(claims) if claims else 0.0
        doing.output = {
            "supported": bool(claims) and not weak,
            "share": round(share, 4),
            "unsupported": weak,
        }
        doing.run.ledger.judge(doing.step.name, f"{share:.2f} supported")
        return
        yield


def is_true(value: object) -> bool:
    """A text that says no is none, as templates make texts."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def _lines(doing: Doing) -> list[str]:
    match doing.given["against"]:
        case Found() as found:
            return [sentence.line for sentence in sentences_of(found, _LONGEST)]
        case Grounds() as grounds:
            return [sentence.line for sentence in grounds.sentences]
        case str() as text:
            return claims_of(text)
        case list() | tuple() as texts:
            return [str(text) for text in texts]
    raise InvalidRequest(
        {f"{doing.step_id}.against": "must be passages, sentences, a text or a list of texts"}
    )
