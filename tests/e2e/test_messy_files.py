"""Messy real files through the running platform: each ends indexed or rejected, nothing dies.

A seeded sample; `GYRE_E2E_FILES=all` takes every file. Parsing all of them is tested in ingestion.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from gyre_client import Document, DocumentState

from tests.platform.documents import ingest
from tests.platform.running import RunningPlatform

COLLECTION = "messy"
SAMPLE = 60
REASONS = {
    "unsupported_format",
    "corrupt",
    "encrypted",
    "no_text",
    "limit_exceeded",
    "duplicate",
    "unsafe",
}


@pytest.fixture(scope="module")
def contents(shared_data: Path) -> dict[str, bytes]:
    """Name -> content."""
    files = [
        path
        for folder in ("docs_dev", "docs_encodings")
        for line in (shared_data / folder / "MANIFEST.jsonl").read_text().splitlines()
        if (path := shared_data / folder / json.loads(line)["file"]).stat().st_size
    ]
    if os.environ.get("GYRE_E2E_FILES") != "all":
        files = Random(11).sample(files, SAMPLE)
    return {path.relative_to(shared_data).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def restarts(platform: RunningPlatform) -> Counter[str]:
    """Program -> restarts before the files came."""
    return Counter(platform.restarts())


@pytest.fixture(scope="module")
def documents(
    platform: RunningPlatform, contents: dict[str, bytes], restarts: Counter[str]
) -> dict[str, Document]:
    """Name -> its document, settled."""

    async def run() -> list[Document]:
        async with platform.client("globex") as gyre:
            return await ingest(gyre, contents, COLLECTION)

    return {one.source_uri: one for one in asyncio.run(run())}


def test_every_file_is_indexed_or_rejected_with_a_reason(
    contents: dict[str, bytes],
    documents: dict[str, Document],
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = Counter(one.rejection_reason or one.state.value for one in documents.values())
    with capsys.disabled():
        print(f"\n{len(documents)} messy files: {dict(states)}")
    assert set(documents) == set(contents)
    for one in documents.values():
        indexed = one.state is DocumentState.INDEXED
        assert indexed or one.rejection_reason in REASONS, one
        assert indexed or one.rejection_detail, one
    assert states["indexed"] > len(documents) // 2


def test_what_needs_a_password_or_is_empty_is_rejected_for_that(
    documents: dict[str, Document],
) -> None:
    for name, one in documents.items():
        if "password" in name or "encrypted" in name:
            assert one.rejection_reason == "encrypted", name
        if "/empty." in name or "whitespace" in name:
            assert one.rejection_reason == "no_text", name


def test_a_text_is_a_duplicate_only_of_the_same_text(
    shared_data: Path, documents: dict[str, Document]
) -> None:
    manifest = (shared_data / "docs_encodings" / "MANIFEST.jsonl").read_text().splitlines()
    rows = {f"docs_encodings/{row['file']}": row for row in map(json.loads, manifest)}
    languages = Counter(rows[name]["lang"] for name in documents if name in rows)
    for name, one in documents.items():
        if name in rows and one.rejection_reason == "duplicate":
            assert languages[rows[name]["lang"]] > 1, name


def test_no_program_died(
    platform: RunningPlatform, documents: dict[str, Document], restarts: Counter[str]
) -> None:
    assert documents
    assert Counter(platform.restarts()) == restarts
    platform.wait_healthy()
