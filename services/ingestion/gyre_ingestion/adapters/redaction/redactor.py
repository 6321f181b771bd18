"""Replaces personal data by what a process of its own finds in the texts."""

import json
from collections.abc import Mapping, Sequence

from gyre_ingestion.adapters.processes.limited import ask_within_limits
from gyre_ingestion.adapters.processes.pool import WorkerPool
from gyre_ingestion.adapters.processes.worker import Recipe
from gyre_ingestion.domain.parsed import ParsedDocument
from gyre_ingestion.domain.personal_data import (
    Finding,
    PersonalDataPolicy,
    Redaction,
    mask,
    pseudonyms,
    redacted,
    texts_of,
)

_WORKER = "gyre_ingestion.adapters.redaction.worker"
_MEMORY_BYTES = 4_000_000_000
_SECONDS = 300
_JOB = "Looking for personal data"
_REGIONS = ("DE", "AT", "CH", "GB", "US", "FR", "ES")


class PresidioRedactor:
    """A `Redactor`. `key` makes pseudonyms; who holds it can test whether a value is behind one.

    `regions` are ISO 3166 codes whose national phone numbers are recognised; `name_models` maps a
    language to the spaCy model that finds names in it (none by default: names then stay). A
    document that takes over `seconds` of computing time is refused.
    """

    def __init__(
        self,
        key: bytes,
        regions: Sequence[str] = _REGIONS,
        name_models: Mapping[str, str] | None = None,
        workers: int = 1,
        seconds: int = _SECONDS,
    ) -> None:
        self._key = key
        told = json.dumps({"regions": regions, "name_models": dict(name_models or {})})
        self._pool = WorkerPool(Recipe(_WORKER, _MEMORY_BYTES, seconds, told), workers)

    async def redact(
        self, document: ParsedDocument, policy: PersonalDataPolicy, tenant: str
    ) -> Redaction:
        """The document by the policy; with `off` the very same. Raises `Rejected` at a limit."""
        if policy is PersonalDataPolicy.OFF:
            return Redaction(document, {})
        findings = await self._findings(document)
        masks = policy is PersonalDataPolicy.MASK
        return redacted(document, findings, mask if masks else pseudonyms(self._key, tenant))

    async def close(self) -> None:
        """Ends the workers."""
        await self._pool.close()

    async def _findings(self, document: ParsedDocument) -> dict[str, list[Finding]]:
        texts = texts_of(document)
        language, told = document.language.encode(), json.dumps(texts).encode()
        answer = await ask_within_limits(self._pool, language, told, _JOB)
        found = ([Finding(*each) for each in several] for several in json.loads(answer))
        return {text: several for text, several in zip(texts, found, strict=True) if several}
