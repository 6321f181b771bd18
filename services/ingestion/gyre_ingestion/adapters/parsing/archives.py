"""Checks zipped files (Office, EPUB, zip) before anything is unpacked."""

import io
import re
import stat
import zipfile
from collections.abc import Iterator

from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

# Below this size a high ratio does no harm, and small spreadsheets do compress that well.
_HARMLESS_BYTES = 1_000_000
_PROLOG_BYTES = 65_536
_DANGEROUS_ENTITY = re.compile(
    rb"""<!ENTITY\s+(?:%\s+)?\S+\s+(?:SYSTEM|PUBLIC|["'][^"'>]*[&%][^"'>;]*;)""", re.IGNORECASE
)
_MARKUP = (".xml", ".rels", ".opf", ".xhtml", ".html", ".htm", ".ncx", ".svg")


def check_archive(content: bytes, limits: Limits) -> None:
    """Raises `Rejected` for bombs, encrypted members, paths that lead out and external entities."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        _check_sizes(members, len(content), limits)
        for member in members:
            _check_member(member)
        for member in members:
            if member.filename.lower().endswith(_MARKUP):
                with archive.open(member) as part:
                    check_entities(part.read(_PROLOG_BYTES))


def check_entities(markup: bytes) -> None:
    """Raises `Rejected` when XML declares entities that reach outside or nest."""
    if _DANGEROUS_ENTITY.search(markup[:_PROLOG_BYTES].replace(b"\0", b"")):
        raise Rejected(
            RejectionReason.UNSAFE, "The file declares XML entities that no document needs."
        )


def members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in the archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, archive.read(member)


def _check_sizes(members: list[zipfile.ZipInfo], size: int, limits: Limits) -> None:
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if len(members) > limits.archive_members:
        raise _too_much(f"The archive has more than {limits.archive_members:,} members.")
    if total > limits.archive_bytes:
        raise _too_much(f"The archive unpacks to more than {limits.archive_bytes:,} bytes.")
    if total > _HARMLESS_BYTES and total > limits.archive_ratio * max(size, 1):
        raise _too_much(f"The archive unpacks to more than {limits.archive_ratio} times its size.")
    if packed > size:
        raise Rejected(RejectionReason.UNSAFE, "The archive's members overlap.")


def _check_member(member: zipfile.ZipInfo) -> None:
    parts = re.split(r"[/\\]", member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if ".." in parts or parts[0] == "" or ":" in parts[0] or is_link:
        raise Rejected(RejectionReason.UNSAFE, "The archive holds a path that leads out of it.")
    if member.flag_bits & 1:
        raise Rejected(
            RejectionReason.ENCRYPTED, "The archive needs a password: pack it without one."
        )


def _too_much(detail: str) -> Rejected:
    return Rejected(RejectionReason.LIMIT_EXCEEDED, detail)
