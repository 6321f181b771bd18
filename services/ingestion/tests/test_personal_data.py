import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre_ingestion.adapters.redaction.presidio import PresidioFinder
from gyre_ingestion.adapters.redaction.redactor import PresidioRedactor
from gyre_ingestion.domain.parsed import (
    Block,
    BlockKind,
    ParsedDocument,
    Rejected,
    RejectionReason,
)
from gyre_ingestion.domain.personal_data import PersonalDataPolicy

_LEAST_RECALL = {
    "EMAIL_ADDRESS": 1.0,
    "IP_ADDRESS": 1.0,
    "US_SSN": 1.0,
    "IBAN_CODE": 0.95,
    "CREDIT_CARD": 0.9,
    "PHONE_NUMBER": 0.6,
}
REGIONS = ("DE", "AT", "CH", "GB", "US", "FR", "ES")


@pytest.fixture(scope="module")
def finder() -> PresidioFinder:
    return PresidioFinder(REGIONS, {})


@pytest.fixture
async def redactor() -> AsyncIterator[PresidioRedactor]:
    redactor = PresidioRedactor(b"a key for tests")
    yield redactor
    await redactor.close()


def found(finder: PresidioFinder, text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in finder.find(text, "en")]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to anna.meier@example.de today.", "EMAIL_ADDRESS", "anna.meier@example.de"),
        ("Rufen Sie mich an: 0151 23456789", "PHONE_NUMBER", "0151 23456789"),
        ("Call +44 7911 123456 after six.", "PHONE_NUMBER", "+44 7911 123456"),
        ("Meine Handy Nr. 60-56-85-91 gilt.", "PHONE_NUMBER", "60-56-85-91"),
        ("My cell is (415) 555-2671.", "PHONE_NUMBER", "(415) 555-2671"),
        ("Karte 4111 1111 1111 1111 gesperrt", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("The login came from 84.17.52.9 at night.", "IP_ADDRESS", "84.17.52.9"),
        ("SSN 536-22-1234 is on file.", "US_SSN", "536-22-1234"),
        ("NI number AB123456C", "UK_NINO", "AB123456C"),
        ("Ihre Steuer-ID 65929970489 fehlt.", "DE_TAX_ID", "65929970489"),
    ],
)
def test_personal_data_is_found(finder: PresidioFinder, text: str, kind: str, value: str) -> None:
    assert (kind, value) in found(finder, text)


@pytest.mark.parametrize(
    "text",
    [
        "Order number 4711-0815-2233 and article 1234567890.",
        "It costs 1,299.00 EUR, or 24 x 54.12 EUR.",
        "Valid from 2024-01-15 to 31.12.2025, 10:30 to 18:00.",
        "Open 192.168.1.1 in the browser to set up the router.",
        "Firmware 7.57.0 replaces version 7.29.2.",
        "Call our hotline on 0800 330 1000 or 1-800-275-2273, it is free.",
        "The mobile plan M has 40 GB, 500 minutes and 5G at 300 Mbit/s.",
        "Serial number T12345678 and IMEI-free SKU-8847-A12.",
        "See RFC 2616, ISO 27001 and section 12.4.3.",
    ],
)
def test_ordinary_numbers_are_left_alone(finder: PresidioFinder, text: str) -> None:
    assert found(finder, text) == []


def letter(text: str) -> ParsedDocument:
    path = ("Mail from bob@example.com",)
    return ParsedDocument(
        (Block(BlockKind.HEADING, path[0], path), Block(BlockKind.PARAGRAPH, text, path)),
        "text/plain",
        title=path[0],
        language="en",
        metadata={"author": "bob@example.com"},
    )


async def test_a_mask_stands_everywhere_the_value_stood(redactor: PresidioRedactor) -> None:
    result = await redactor.redact(
        letter("Ask bob@example.com or amy@example.com."), PersonalDataPolicy.MASK, "acme"
    )
    assert (
        result.document.text
        == "Mail from <EMAIL_ADDRESS>\n\nAsk <EMAIL_ADDRESS> or <EMAIL_ADDRESS>."
    )
    assert result.document.title == "Mail from <EMAIL_ADDRESS>"
    assert result.document.blocks[1].heading_path == ("Mail from <EMAIL_ADDRESS>",)
    assert result.document.metadata == {"author": "<EMAIL_ADDRESS>"}
    assert result.counts == {"EMAIL_ADDRESS": 3}
    assert result.total == 3


async def test_a_pseudonym_is_stable_in_its_tenant_only(redactor: PresidioRedactor) -> None:
    policy = PersonalDataPolicy.PSEUDONYMISE
    first = await redactor.redact(letter("Ask BOB@example.com."), policy, "acme")
    again = await redactor.redact(letter("Ask bob@example.com."), policy, "acme")
    other = await redactor.redact(letter("Ask bob@example.com."), policy, "rival")
    assert first.document.text == again.document.text
    assert "bob" not in again.document.text.lower()
    assert other.document.text != again.document.text


async def test_a_document_that_takes_too_long_is_refused_for_its_limit() -> None:
    redactor = PresidioRedactor(b"a key for tests", seconds=1)
    endless = letter("Call 0151 23456789 or 030 901820. " * 20_000)
    try:
        # Which of the two clocks ends it first depends on how busy the machine is.
        with pytest.raises(
            Rejected, match=r"personal data (needs too much computing time|took over 1 s)"
        ) as verdict:
            await redactor.redact(endless, PersonalDataPolicy.MASK, "acme")
        assert verdict.value.reason is RejectionReason.LIMIT_EXCEEDED
        short = await redactor.redact(letter("Hello."), PersonalDataPolicy.MASK, "acme")
        assert short.document.blocks[1].text == "Hello."
    finally:
        await redactor.close()


async def test_off_changes_nothing(redactor: PresidioRedactor) -> None:
    document = letter("Ask bob@example.com.")
    assert (await redactor.redact(document, PersonalDataPolicy.OFF, "acme")).document is document


def test_recall_and_precision_on_synthetic_text_are_what_patterns_can_reach(
    finder: PresidioFinder, shared_data: Path
) -> None:
    truth, hits, right, wrong = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    with (shared_data / "pii_presidio/synth_v2.jsonl").open() as rows:
        for row in map(json.loads, rows):
            spans = row["spans"]
            findings = finder.find(row["full_text"], "en")
            for span in spans:
                truth[span["entity_type"]] += 1
                hits[span["entity_type"]] += any(_overlap(f, span) for f in findings)
            for finding in findings:
                is_right = any(_overlap(finding, span) for span in spans)
                (right if is_right else wrong)[finding.kind] += 1
    for kind, count in truth.most_common():
        print(f"recall {kind}: {hits[kind]}/{count} = {hits[kind] / count:.2f}")
    for kind in right | wrong:
        total = right[kind] + wrong[kind]
        print(f"precision {kind}: {right[kind]}/{total} = {right[kind] / total:.2f}")
    for kind, least in _LEAST_RECALL.items():
        assert hits[kind] / truth[kind] >= least
    assert sum(right.values()) / (sum(right.values()) + sum(wrong.values())) >= 0.95


def _overlap(finding: object, span: dict[str, int]) -> bool:
    start, end = finding.start, finding.end  # type: ignore[attr-defined]
    return start < span["end_position"] and span["start_position"] < end
