"""Finds people's phone numbers (library: phonenumbers)."""

import re
from collections.abc import Iterator, Sequence

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberType

from gyre_ingestion.domain.personal_data import Finding

# A hotline is no personal data, and a help page without it is of no help.
_HOTLINES = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.UAN,
}
_CONTEXT = re.compile(
    r"phone|tel\b|tel[.:]|telefon|mobil|móvil|handy|cell|call|ring|fax|whatsapp|sms|text me|contact"
    r"|anruf|ruf|nummer|portable|appel|joindre|llama|número|reach|dial|number",
    re.IGNORECASE,
)
# With a plus, a trunk zero and groups, brackets, or three American groups: written to be dialled.
_DIALLED = re.compile(r"\+|00[1-9]|0\d+[\s/().-]|\(\d|\d{3}[.-]\d{3}[.-]\d{4}\b")
# Named as a phone number right before it, whatever country it is from.
_ANNOUNCED = re.compile(
    r"\b(?:(?:tele)?phone|tel|mobile|cell|fax|whatsapp|telefon|handy|mobil|rufnummer|téléphone"
    r"|portable|teléfono|móvil|(?:call|reach|text) me (?:on|at))\.?"
    r"(?:\s(?:number|no\.?|nr\.?|nummer))?(?:\s(?:is|ist|est|es))?:?\s{0,2}"
    r"([+(]?\d[\d\s()./-]{4,18}\d)(?![\w-])",
    re.IGNORECASE,
)
# Six digits with no more between two of them than the library takes for one number.
_ENOUGH_DIGITS = re.compile(r"\d(?:[\W_x]{0,4}\d){5}")
_BEFORE = 50


def find_phones(text: str, regions: Sequence[str]) -> Iterator[Finding]:
    """Numbers that are valid in a region, or international ones, and look dialled or are spoken of
    as numbers to call; and what is announced as a phone number. Hotlines are left."""
    if not _ENOUGH_DIGITS.search(text):
        return
    matches = [match for region in regions for match in _matches(text, region)]
    for match in matches:
        if not _is_hotline(match) and _is_meant(text, match):
            yield Finding(match.start, match.end, "PHONE_NUMBER")
    for announced in _ANNOUNCED.finditer(text):
        start, end = announced.span(1)
        if all(end <= match.start or match.end <= start for match in matches):
            yield Finding(start, end, "PHONE_NUMBER")


def _matches(text: str, region: str) -> Iterator[PhoneNumberMatch]:
    yield from phonenumbers.PhoneNumberMatcher(text, region, leniency=Leniency.VALID)


def _is_hotline(match: PhoneNumberMatch) -> bool:
    return phonenumbers.number_type(match.number) in _HOTLINES


def _is_meant(text: str, match: PhoneNumberMatch) -> bool:
    before = text[max(match.start - _BEFORE, 0) : match.start]
    return _DIALLED.match(match.raw_string) is not None or _CONTEXT.search(before) is not None
