"""Finds personal data by pattern and checksum (library: presidio-analyzer), offline.

The recognisers are asked directly: Presidio's own engine wants a language model even for patterns.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import spacy
import tldextract.tldextract
from presidio_analyzer import Pattern, PatternRecognizer
from presidio_analyzer import predefined_recognizers as known
from spacy.language import Language

from gyre_ingestion.adapters.redaction.phones import find_phones
from gyre_ingestion.domain.personal_data import Finding

# By default the library downloads the list of public suffixes; the one it brings is good enough.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

_NAME_LABELS = {"PERSON", "PER"}
_CERTAIN = 0.5
_BEFORE, _AFTER = 60, 20
# Cards of 12 to 19 digits with any issuer; Luhn's checksum alone lets one order number in ten pass.
_ANY_CARD = Pattern("any card", r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-])", 0.3)
_CARD_WORDS = [
    "card",
    "visa",
    "master",
    "maestro",
    "amex",
    "karte",
    "kreditkarte",
    "carte",
    "tarjeta",
]
# What a match cannot be without, so that most texts are spared most patterns.
_HINT = re.compile(r"[\d@]")
_AT = re.compile("@")
_LONG_NUMBER = re.compile(r"(?:\d[ .-]?){6}")
_IBAN_START = re.compile(r"[A-Za-z]{2}\d\d")
_ADDRESS_PART = re.compile(r"\d\.\d{1,3}\.\d|::|(?:[0-9A-Fa-f]{1,4}:){2}")


class PresidioFinder:
    """Mail, cards (Luhn), IBAN (checksum), public IP addresses, phones; numbers of identity papers,
    tax and insurance (Germany, United Kingdom, United States) where a word nearby names them.

    `regions` are those whose national phone numbers are known; `name_models` gives the spaCy model
    that finds people's names, by language. Without a model for a language its names stay.
    """

    def __init__(self, regions: Sequence[str], name_models: Mapping[str, str]) -> None:
        self._regions = regions
        self._certain = _certain()
        self._named = [(one, _context_of(one.context)) for one in _in_need_of_words()]
        self._any_context = _context_of(word for one, _ in self._named for word in one.context)
        self._models: dict[str, Language] = {
            language: spacy.load(model, disable=["parser", "lemmatizer"])
            for language, model in name_models.items()
        }

    def find(self, text: str, language: str) -> list[Finding]:
        """What was found, in order, without overlaps."""
        found = list(self._names(text, language))
        if _HINT.search(text):
            found = [*self._patterns(text), *find_phones(text, self._regions), *found]
        return _apart(found)

    def _patterns(self, text: str) -> Iterator[Finding]:
        hinted = (recognizer for recognizer, hint in self._certain if hint.search(text))
        for recognizer in hinted:
            for result in recognizer.analyze(text, recognizer.supported_entities):
                finding = Finding(result.start, result.end, result.entity_type)
                if result.score >= _CERTAIN and not _is_harmless(finding, text):
                    yield finding
        for recognizer, context in self._named if self._any_context.search(text) else ():
            for result in recognizer.analyze(text, recognizer.supported_entities):
                around = text[max(result.start - _BEFORE, 0) : result.end + _AFTER]
                if context.search(around):
                    yield Finding(result.start, result.end, result.entity_type)

    def _names(self, text: str, language: str) -> Iterator[Finding]:
        model = self._models.get(language)
        for entity in model(text).ents if model else ():
            if entity.label_ in _NAME_LABELS:
                yield Finding(entity.start_char, entity.end_char, "PERSON")


def _certain() -> list[tuple[PatternRecognizer, re.Pattern[str]]]:
    """Recognisers, each with what every match of it holds."""
    return [
        (known.EmailRecognizer(), _AT),
        (known.IbanRecognizer(), _IBAN_START),
        (known.CreditCardRecognizer(), _LONG_NUMBER),
        (known.IpRecognizer(), _ADDRESS_PART),
        (known.UsSsnRecognizer(), _LONG_NUMBER),
        (known.UsItinRecognizer(), _LONG_NUMBER),
        (known.UkDrivingLicenceRecognizer(), _LONG_NUMBER),
    ]


def _in_need_of_words() -> list[PatternRecognizer]:
    """These patterns fit many order and article numbers too."""
    return [
        known.CreditCardRecognizer(patterns=[_ANY_CARD], context=_CARD_WORDS),
        known.DeTaxIdRecognizer(),
        known.DeSocialSecurityRecognizer(),
        known.DeHealthInsuranceRecognizer(),
        known.DeIdCardRecognizer(),
        known.DePassportRecognizer(),
        known.NhsRecognizer(),
        known.UkNinoRecognizer(),
        known.UkPassportRecognizer(),
        known.UsPassportRecognizer(context=["passport"]),
        known.UsLicenseRecognizer(
            context=["driver license", "driver's license", "driver’s license"]
        ),
    ]


def _context_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})", re.IGNORECASE)


def _is_harmless(finding: Finding, text: str) -> bool:
    """Addresses of routers and the like (192.168.1.1) are in every manual."""
    if finding.kind != "IP_ADDRESS":
        return False
    try:
        return not ipaddress.ip_address(text[finding.start : finding.end]).is_global
    except ValueError:
        return True


def _apart(findings: Iterable[Finding]) -> list[Finding]:
    """Of those that overlap, the first found: patterns come before phones and names."""
    kept: list[Finding] = []
    for finding in findings:
        if all(finding.end <= other.start or other.end <= finding.start for other in kept):
            kept.append(finding)
    return sorted(kept, key=lambda finding: finding.start)
