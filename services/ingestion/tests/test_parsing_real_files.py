import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gyre_ingestion.adapters.parsing.charset import decode
from gyre_ingestion.adapters.parsing.files import FileReader
from gyre_ingestion.adapters.parsing.parser import SubprocessParser
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import ParsedDocument, Rejected, RejectionReason
from rapidfuzz import fuzz

Parsed = dict[str, ParsedDocument | Rejected]
NO_TEXT, ENCRYPTED = RejectionReason.NO_TEXT, RejectionReason.ENCRYPTED
REFUSED = {
    "unstructured/empty.eml": NO_TEXT,
    "unstructured/empty.txt": NO_TEXT,
    "unstructured/empty.xlsx": NO_TEXT,
    "unstructured/fake-text-all-whitespace.txt": NO_TEXT,
    "unstructured/loremipsum-flat.pdf": NO_TEXT,
    "unstructured/single_table.pdf": NO_TEXT,
    "markitdown/MEDRPT-2024-PAT-3847_medical_report_scan.pdf": NO_TEXT,
    "markitdown/pdf_scanned_invoice.pdf": NO_TEXT,
    "markitdown_expected/MEDRPT-2024-PAT-3847_medical_report_scan.md": NO_TEXT,
    "docling/ocr_test.pdf": NO_TEXT,
    "docling/ocr_test_rotated_90.pdf": NO_TEXT,
    "unstructured/fake-encrypted.eml": ENCRYPTED,
    "unstructured/fake-encrypted.msg": ENCRYPTED,
    "unstructured/password.pdf": ENCRYPTED,
    "unstructured/password_protected.xlsx": ENCRYPTED,
    "docling/2206.01062_pg3.pdf": ENCRYPTED,
    "markitdown/random.bin": RejectionReason.UNSUPPORTED_FORMAT,
}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parsed(shared_data: Path) -> Parsed:
    """Every messy file by its name: what the service's parser finds in it, or its verdict."""
    folder = shared_data / "docs_dev"
    parser = SubprocessParser(Limits(), workers=2)

    async def parse(name: str) -> tuple[str, ParsedDocument | Rejected]:
        try:
            return name, await parser.parse((folder / name).read_bytes(), name)
        except Rejected as verdict:
            return name, verdict

    found = await asyncio.gather(*(parse(row["file"]) for row in rows(folder)))
    await parser.close()
    return dict(found)


def text_of(answer: ParsedDocument | Rejected) -> str:
    assert isinstance(answer, ParsedDocument), answer
    return answer.text


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "MANIFEST.jsonl").read_text().splitlines()]


async def test_every_messy_file_is_parsed_or_refused_for_its_true_reason(parsed: Parsed) -> None:
    answers = parsed.items()
    refused = {name: one.reason for name, one in answers if isinstance(one, Rejected)}
    documents = [one for one in parsed.values() if isinstance(one, ParsedDocument)]
    formats = Counter(document.media_type for document in documents)
    assert all(document.text.strip() for document in documents)
    print(f"{formats.total()} parsed, {len(refused)} refused; by format: {dict(formats)}")
    assert refused == REFUSED


async def test_the_text_is_what_other_parsers_found(shared_data: Path, parsed: Parsed) -> None:
    low = {}
    for row in rows(shared_data / "docs_dev"):
        expected = row["probe"].get("text_chars")
        if row["file"] in REFUSED or not expected or expected < 200:
            continue
        share = len(text_of(parsed[row["file"]])) / expected
        if share < 0.9:
            low[row["file"]] = round(share, 2)
    print(f"shorter than elsewhere: {low}")
    assert set(low) <= {"docling/skipped_2pages.pdf"}


async def test_pdfs_say_what_markitdown_expects(shared_data: Path, parsed: Parsed) -> None:
    figures = {}
    for expected in sorted((shared_data / "docs_dev/markitdown_expected").glob("*.md")):
        name = f"markitdown/{expected.stem}.pdf"
        if name not in REFUSED:
            found = set(text_of(parsed[name]).lower().split())
            words = {
                w for w in expected.read_text().lower().replace("|", " ").split() if w.isalnum()
            }
            figures[expected.stem] = round(len(words & found) / len(words), 3)
    print(f"share of markitdown's words found: {figures}")
    assert len(figures) == 5
    assert all(share >= 0.9 for share in figures.values())


async def test_encodings_are_told_exactly(shared_data: Path) -> None:
    folder = shared_data / "docs_encodings"
    missed = []
    for row in rows(folder):
        text = decode((folder / row["file"]).read_bytes()) or ""
        if hashlib.sha256(text.encode()).hexdigest() != row["truth_sha256"]:
            missed.append(row["file"])
    print(f"missed: {missed}")
    assert missed == []


async def test_the_language_of_each_declaration_is_told(shared_data: Path) -> None:
    folder, reader = shared_data / "docs_encodings", FileReader(Limits())
    known = {
        "deu": "de",
        "eng": "en",
        "fra": "fr",
        "spa": "es",
        "rus": "ru",
        "jpn": "ja",
        "arb": "ar",
    }
    for lang, code in known.items():
        name = f"udhr_{lang}.utf-8.txt"
        assert reader.read((folder / name).read_bytes(), name).language == code


async def test_the_same_text_comes_out_of_four_formats(parsed: Parsed) -> None:
    names = [f"unstructured/eng_spa_mult.{suffix}" for suffix in ("docx", "epub", "html", "pptx")]
    texts = [text_of(parsed[name]) for name in names]
    assert all(fuzz.ratio(texts[0], text) > 97 for text in texts)
