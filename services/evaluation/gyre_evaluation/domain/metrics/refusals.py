"""Whether an answer says that it cannot answer."""

from __future__ import annotations

import re

from gyre_evaluation.domain.metrics.case import Case
from gyre_evaluation.domain.metrics.sentences import plain, sentences

_REFUSING = re.compile(
    r"""
    \b(?:documents?|context|passages?|texts?|sources?|excerpts?|knowledge\ base
        |information\ (?:provided|given))\b
        [^.]{0,60}\b(?:do(?:es)?\ not|don't|doesn't|did\ not|cannot|no)\b[^.]{0,40}
        \b(?:answer|contain|mention|provide|specify|include|say|state|information|cover)
    |\b(?:i|we)\b[^.]{0,20}\b(?:cannot|can't|can\ not|am\ unable|are\ unable|am\ not\ able
        |do\ not\ know|don't\ know
        |could\ not\ find|couldn't\ find|do\ not\ have|don't\ have)\b[^.]{0,40}
        (?:\b(?:answer|help|find|assist|provide|say|information|enough|access|know)|\.|$)
    |\b(?:no|not\ enough|insufficient)\ information\b
    |\bunanswerable\b|\bno\ answer\ (?:is|was|can\ be)\b
    |\bdokumente?\b[^.]{0,40}\bbeantworte[nt]\b[^.]{0,40}\bnicht\b
    |\b(?:kann|können)\b[^.]{0,60}\bnicht\b[^.]{0,20}\b(?:beantworten|finden|sagen|helfen)\b
    |\bkeine\ (?:informationen?|angaben?|antwort)\b
    |\bno\ (?:puedo|podemos|encuentro|tengo)\b[^.]{0,40}\b(?:responder|contestar|información|ayudar)
    |\bje\ ne\ (?:peux|trouve|sais)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """By phrases in the first sentence: an answer that closes with what it does not know is one.
    Nothing at all is a refusal too."""
    opening = sentences(text)[:1]
    return not opening or bool(_REFUSING.search(plain(opening[0]).replace("’", "'")))


def refused(case: Case) -> bool:
    """What the service said counts before what the text looks like."""
    return is_refusal(case.answer) if case.refused is None else case.refused


def refusal_correctness(case: Case) -> float:
    return float(refused(case) is case.unanswerable)
