"""Vectors from the embedding service, each text asked once and kept in a file."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
from gyre.embedding.v1 import service_pb2, service_pb2_grpc
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_KEY = (("authorization", "Bearer gyre-dev-key"),)
_AT_ONCE = 64


class Embedder:
    """One row for each text, of unit length."""

    def __init__(self, address: str, file: Path) -> None:
        """address: of the embedding service; asked only for texts that the file does not hold."""
        self._stub = service_pb2_grpc.EmbeddingServiceStub(grpc.insecure_channel(address))
        file.parent.mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(file)
        self._kept.execute("create table if not exists v (k blob primary key, x blob)")

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """In the order of the texts."""
        found = {text: self._known(text) for text in dict.fromkeys(texts)}
        missing = sorted((text for text, vector in found.items() if vector is None), key=len)
        for at in range(0, len(missing), _AT_ONCE):
            found |= self._ask(missing[at : at + _AT_ONCE])
        return np.stack([np.frombuffer(found[text] or b"", "<f4") for text in texts])

    def cosines(self, question: str, lines: Sequence[str]) -> list[float]:
        """Of the question and each line."""
        vectors = self.vectors([question, *lines])
        nearness: list[float] = (vectors[1:] @ vectors[0]).tolist()
        return nearness

    def _known(self, text: str) -> bytes | None:
        row = self._kept.execute("select x from v where k = ?", (_digest(text),)).fetchone()
        return None if row is None else bytes(row[0])

    def _ask(self, texts: Sequence[str]) -> dict[str, bytes | None]:
        request = service_pb2.EmbedRequest(texts=texts)
        reply = self._stub.Embed(request, timeout=300, metadata=_KEY)
        made = {text: one.vector for text, one in zip(texts, reply.embeddings, strict=True)}
        rows = [(_digest(text), vector) for text, vector in made.items()]
        self._kept.executemany("insert or replace into v values (?, ?)", rows)
        self._kept.commit()
        return dict(made)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]
