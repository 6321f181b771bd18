"""sha256 of every file of a model directory, written once and checked at every load.

`SHA256SUMS` is what `sha256sum --check` reads; the card (README.md) may be edited and is left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MANIFEST = "SHA256SUMS"
LEFT_OUT = {MANIFEST, "README.md"}


class ManifestError(ValueError):
    """A file is missing, changed or not listed."""


def write_manifest(directory: Path, known: Path | None = None) -> Path:
    """Lists every file below `directory` with its sha256; returns the manifest's path.

    known: a directory with a checked manifest, whose digests are taken for files of that name.
    """
    digests = read_manifest(known) if known else {}
    files = {
        name: digests.get(name) or sha256(directory / name)
        for name in (str(path.relative_to(directory)) for path in _files(directory))
    }
    target = directory / MANIFEST
    target.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())))
    return target


def read_manifest(directory: Path) -> dict[str, str]:
    """File name -> sha256; empty where the directory has no manifest."""
    path = directory / MANIFEST
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def check_manifest(directory: Path) -> bool:
    """True where a manifest is there and every file agrees, False where there is none.

    Raises `ManifestError` for a file that is missing, changed or not listed.
    """
    if not (directory / MANIFEST).exists():
        return False
    expected = read_manifest(directory)
    found = {str(path.relative_to(directory)) for path in _files(directory)}
    if strange := sorted(found.symmetric_difference(expected)):
        raise ManifestError(f"{directory}: missing or not in the manifest: {', '.join(strange)}")
    for name, digest in expected.items():
        if sha256(directory / name) != digest:
            raise ManifestError(f"{directory / name} does not have the manifest's sha256")
    return True


def content_hash(directory: Path) -> str:
    """SHA-256 over the manifest's lines, as the registry counts it; empty without a manifest."""
    digests = sorted(read_manifest(directory).items())
    text = "".join(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256(text.encode()).hexdigest() if digests else ""


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(directory: Path) -> list[Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file() and p.name not in LEFT_OUT)
