"""Settings of the edge; every one is an environment variable GYRE_<NAME>."""

from __future__ import annotations

from gyre_runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """What the edge needs to know."""

    metrics_port: int = 9109
    """Port of the Prometheus metrics."""
    edge_address: str = "127.0.0.1:8080"
    """Where REST is answered; TLS ends at the gateway in front of it."""
    inference_address: str = "127.0.0.1:50054"
    """Address of the inference service."""
    embedding_address: str = "127.0.0.1:50052"
    """Address of the embedding service."""
    language_model: str = "gyre-reader"
    """Language model that the list of models names."""
    embedding_model: str = "all-minilm-l6-v2"
    """Embedding model; a request that names another one is refused."""
    edge_timeout: float = 120.0
    """Seconds that a request may take."""
    edge_body_limit: int = 4 * 1024 * 1024
    """Largest body of a request, in bytes."""
    edge_concurrent_requests: int = 512
    """Requests at once; more are refused at once with 503."""
