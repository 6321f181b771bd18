"""What a document may cost."""

from dataclasses import dataclass

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits on one document; sizes in bytes, text in code points, time in seconds."""

    file_bytes: int = 50 * _MEGABYTE
    archive_members: int = 1_000
    archive_depth: int = 2
    archive_bytes: int = 200 * _MEGABYTE
    archive_ratio: int = 100
    pages: int = 2_000
    text_length: int = 5_000_000
    memory_bytes: int = 2_000 * _MEGABYTE
    seconds: int = 120
