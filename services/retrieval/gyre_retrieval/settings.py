"""Settings of the retrieval service, read from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from typing import Literal

from gyre_runtime.settings import DEVELOPMENT_KEY, RuntimeSettings
from pydantic import Field, SecretStr, model_validator

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

    embedding_key: SecretStr = SecretStr("")
    """This service's key at the embedding service (role writer), for what nobody waits for: filling
    an index, and comparing it. In development the development key."""
    embedding_bulk_timeout: float = 60.0
    """Longest time to embed 32 passages as bulk work."""

    reindex_share: float = Field(0.5, gt=0.0, le=1.0)
    """Share of its time in which the filling of an index works; the rest belongs to searches."""
    reindex_passages: int = Field(64, ge=1, le=1000)
    """Passages that are copied at once, about; one document is never parted."""
    reindex_pause: float = Field(1.0, gt=0.0)
    """Time between two looks for documents that a filled index lacks."""
    reindex_lease: float = Field(15.0, gt=0.0)
    """After how long another process goes on with what a dead one left."""
    reindex_keep: float = Field(7 * 86_400.0, ge=10.0)
    """How long the index before a switch is kept for switching back."""
    reindex_compare_share: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the live searches that a filled index answers too, after they were answered."""
    reindex_tenants: frozenset[str] = frozenset()
    """Tenants whose operators may start, switch and abort, and whose trained embedders are indexed
    (JSON list): an index holds the passages of all tenants. Empty: every tenant's."""
    reindex_trained: bool = True
    """Whether indexes are filled for embedders that were trained, and switched to by a gate."""
    reconcile_pause: float = Field(60.0, gt=0.0)
    """Time between two looks for indexes in Milvus that the catalogue gave up."""

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

    @model_validator(mode="after")
    def _know_the_development_key_at_embedding(self) -> Settings:
        if self.env == "development" and not self.embedding_key.get_secret_value():
            self.embedding_key = SecretStr(DEVELOPMENT_KEY)
        return self
