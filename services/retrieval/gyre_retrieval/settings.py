"""Settings of the retrieval service, read from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from typing import Literal

from gyre_runtime.settings import RuntimeSettings
from pydantic import Field, SecretStr

from gyre_retrieval.domain.ranking import FusionMethod


class Settings(RuntimeSettings):
    """Times in seconds."""

    grpc_address: str = "127.0.0.1:50053"
    """Where RPCs are served."""
    metrics_port: int = 9103
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    database_url: str | None = "sqlite+aiosqlite:///var/retrieval/retrieval.db"
    """The catalogue."""

    milvus_url: str = "http://127.0.0.1:19530"
    """Milvus standalone, distributed, or Milvus Lite's server."""
    milvus_token: SecretStr = SecretStr("")
    """`user:password` or an API key, where Milvus asks for one."""
    milvus_timeout: float = 5.0
    """Longest time of one read."""
    milvus_write_timeout: float = 60.0
    """Longest time of one write or flush."""
    milvus_gather_window: float = 0.05
    """How long parts wait for others to be flushed with them."""

    embedding_address: str = "127.0.0.1:50052"
    """The embedding service."""
    embedding_timeout: float = 3.0
    """Longest time to embed a query."""

    dense_index: Literal["FLAT", "HNSW"] = "FLAT"
    """FLAT is exact; HNSW is faster above some 100,000 passages, on Milvus itself."""
    bm25_k1: float = 1.2
    """How soon a repeated word counts no more; for new indexes."""
    bm25_b: float = Field(0.75, ge=0.0, le=1.0)
    """How much long passages are marked down; for new indexes."""

    fusion_method: FusionMethod = FusionMethod.SCORES
    """`scores`: each route's scores over its best one; `ranks`: reciprocal ranks (RRF)."""
    fusion_dense_weight: float = Field(0.4, ge=0.0)
    """Weight of the dense route."""
    fusion_lexical_weight: float = Field(0.6, ge=0.0)
    """Weight of the lexical route."""
    fusion_k: float = Field(60.0, gt=0.0)
    """Of `ranks`: how little the first ranks stand out."""
    fusion_depth: int = Field(50, ge=10, le=1000)
    """How many passages of each route are fused, at least."""

    feedback_weight: float = Field(0.0, ge=0.0, le=2.0)
    """How much people's judgements of a passage move its score; 0 switches the signal off."""

    parts_at_once: int = 64
    """Parts that are indexed side by side; their writes are gathered."""
    sweep_pause: float = 30.0
    """Time between two rounds that look for passages to remove."""
