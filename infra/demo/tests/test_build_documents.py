"""The committed documents are what the sources make."""

import subprocess
import sys
from pathlib import Path

import pytest
from gyre_demo.questions import KNOWLEDGE_BASE

from .extraction import text_of

pytest.importorskip("reportlab", reason="the builder's libraries are not installed")
SCRIPT = KNOWLEDGE_BASE.parent / "build_documents.py"


@pytest.fixture(scope="module", name="built")
def build(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    output = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, SCRIPT, "--output", output], check=True)
    return {str(path.relative_to(output)): path for path in output.rglob("*") if path.is_file()}


def test_every_document_that_is_not_text_has_a_source(built: dict[str, Path]) -> None:
    suffixes = {".pdf", ".docx", ".pptx"}
    committed = [path for path in KNOWLEDGE_BASE.rglob("*") if path.suffix in suffixes]
    assert {str(path.relative_to(KNOWLEDGE_BASE)) for path in committed} == set(built)


def test_a_rebuild_has_the_same_text(built: dict[str, Path]) -> None:
    differing = [name for name, path in built.items() if text_of(path) != _committed_text(name)]
    assert differing == []


def test_two_builds_have_the_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, "--output", tmp_path], check=True)
    differing = [
        name for name, path in built.items() if path.read_bytes() != (tmp_path / name).read_bytes()
    ]
    assert differing == []


def _committed_text(name: str) -> str:
    return text_of(KNOWLEDGE_BASE / name)
