"""Settings of the embedding service; every one is an environment variable GYRE_<NAME>."""

from __future__ import annotations

from pathlib import Path

from gyre_runtime.settings import RuntimeSettings
from pydantic import Field, SecretStr


class Settings(RuntimeSettings):
    """What the embedding service needs to know."""

    grpc_address: str = "127.0.0.1:50052"
    """Where the RPCs are answered."""
    metrics_port: int = 9102
    """Port of the Prometheus metrics."""
    triton_address: str = "127.0.0.1:8001"
    """gRPC address of the model server."""
    embedding_model: str = "all-minilm-l6-v2"
    """Model on Triton for bulk work; its name is written beside every vector."""
    embedding_query_model: str = "all-minilm-l6-v2-query"
    """The same model loaded a second time, so that a query never waits behind a bulk batch."""
    embedding_dimension: int = 384
    """Numbers per vector."""
    embedding_batch_size: int = 32
    """Passages per bulk request: each request ends with idle cores, which few passages feel."""
    embedding_urgent_texts: int = 32
    """Texts of one call at most that go to the model for queries; more of them are bulk work. A
    question and the sentences that it is compared with (16) must be fewer: a person waits."""
    embedding_in_flight: int = 2
    """Bulk requests on their way to the model server at once."""
    embedding_timeout: float = 30.0
    """Seconds to wait for one batch of bulk work."""
    embedding_attempts: int = 4
    """How often a part is tried whose vectors are unusable, before it is given up."""
    handler_concurrency: int = 16
    """Parts of documents that are worked on at once; their passages share batches."""

    embedders_trained: bool = True
    """Whether embedders that were trained are brought to the model server."""
    reindex_tenants: frozenset[str] = frozenset()
    """Whose (JSON list): those who may fill indexes, as in retrieval. Empty: every tenant's."""
    models: Path = Path("var/models-registry")
    """The model store; trained embedders are folders below it."""
    triton_repository: Path = Path("var/triton/repository")
    """The model server's repository."""
    triton_admin_key: SecretStr = SecretStr("")
    """Key of the model server's restricted calls."""
    materialise_embedder_command: tuple[str, ...] = ()
    """Program that puts an embedder into the repository (JSON list of its words), e.g.
    `.venv-models/bin/python -m gyre_models materialise-embedder`; empty: none is put there."""
    materialise_embedder_timeout: float = Field(1500.0, gt=0)
    """Seconds that it may take."""
    reconcile_poll: float = Field(5.0, gt=0)
    """Seconds between two looks whether all trained embedders are loaded."""
