"""`QuestionVectors` on the service's sentence vectors."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gyre_evaluation.adapters.scoring import SentenceVectors


class TenantQuestionVectors:
    """tenants: those with a key. Another one has no vectors, so no drift of its questions' meaning;
    everything else it has."""

    def __init__(self, sentences: SentenceVectors, tenants: Collection[str]) -> None:
        self._sentences = sentences
        self._tenants = tenants

    async def vectors(self, tenant: str, texts: Sequence[str]) -> list[bytes]:
        if tenant not in self._tenants:
            return [b""] * len(texts)
        found = await self._sentences.vectors(tenant, set(texts))
        return [found.get(text, b"") for text in texts]
