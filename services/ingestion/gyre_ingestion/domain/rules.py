"""What a name, a label and a size may be."""

import re
from collections.abc import Mapping

DEFAULT_COLLECTION = "default"
MAX_SOURCE_URI = 2048
MAX_METADATA_ENTRIES = 32
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 1024
MAX_TITLE = 256

_COLLECTION = re.compile(r"[a-z0-9_-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUL = "contains a NUL character; remove it"


class RuleError(Exception):
    """A request that breaks a rule; `violations` says per field what is wrong or allowed."""

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field} {what}" for field, what in violations.items()))
        self.violations = dict(violations)


def collection_name(given: str) -> str:
    """The collection that is meant; raises `RuleError`. Empty means `default`."""
    name = given or DEFAULT_COLLECTION
    if not _COLLECTION.fullmatch(name):
        raise RuleError({"collection": "must be 1 to 64 of a-z, 0-9, _ and -"})
    return name


def check_header(source_uri: str, metadata: Mapping[str, str], sha256: str = "") -> None:
    """Raises `RuleError` with every rule that is broken."""
    found = _source_uri_violations(source_uri) | metadata_violations(metadata)
    if sha256 and not _SHA256.fullmatch(sha256):
        found["sha256"] = "must be 64 lower-case hexadecimal digits"
    if found:
        raise RuleError(found)


def _source_uri_violations(source_uri: str) -> dict[str, str]:
    if not source_uri:
        return {"source_uri": "is required: the document's lasting name, e.g. its path or URL"}
    if len(source_uri) > MAX_SOURCE_URI:
        return {"source_uri": f"must be at most {MAX_SOURCE_URI} characters"}
    return {"source_uri": _NUL} if "\0" in source_uri else {}


def metadata_violations(metadata: Mapping[str, str]) -> dict[str, str]:
    """The rules that labels break, by field; empty when they break none."""
    if len(metadata) > MAX_METADATA_ENTRIES:
        return {"metadata": f"must have at most {MAX_METADATA_ENTRIES} entries"}
    if any(not 1 <= len(key) <= MAX_METADATA_KEY for key in metadata):
        return {"metadata": f"keys must have 1 to {MAX_METADATA_KEY} characters"}
    if any(len(value) > MAX_METADATA_VALUE for value in metadata.values()):
        return {"metadata": f"values must have at most {MAX_METADATA_VALUE} characters"}
    nul = any("\0" in text for pair in metadata.items() for text in pair)
    return {"metadata": _NUL} if nul else {}


def file_name(source_uri: str) -> str:
    """The last segment of a path or an address, for people; never empty, at most 256 characters."""
    path = re.split(r"[?#]", source_uri, maxsplit=1)[0]
    name = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return (name or source_uri)[:MAX_TITLE]
