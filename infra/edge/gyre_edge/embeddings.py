"""Embeddings: texts to the embedding service, vectors in OpenAI's shape."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from gyre.embedding.v1 import service_pb2

MOST_TEXTS = 256  # of one Embed call


def embed_requests(texts: Sequence[str]) -> list[service_pb2.EmbedRequest]:
    """The texts in as many calls as they need, in order."""
    return [
        service_pb2.EmbedRequest(texts=texts[start : start + MOST_TEXTS])
        for start in range(0, len(texts), MOST_TEXTS)
    ]


def embeddings(
    replies: Iterable[service_pb2.EmbedResponse], encoding: Literal["float", "base64"], model: str
) -> dict[str, Any]:
    """OpenAI's list. base64 holds the little-endian float32 numbers as they are."""
    made = [one for reply in replies for one in reply.embeddings]
    tokens = sum(one.token_count for one in made)
    read = _base64 if encoding == "base64" else _floats
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": place, "embedding": read(one.vector)}
            for place, one in enumerate(made)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
