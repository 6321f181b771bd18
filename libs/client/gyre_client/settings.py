"""Where the platform is, and who asks. Every setting is an environment variable GYRE_<NAME>."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """Read from the environment, then from `var/platform.env`, which a local platform writes."""

    model_config = SettingsConfigDict(
        env_prefix="GYRE_",
        env_file=(".env", "var/platform.env"),
        extra="ignore",
        use_attribute_docstrings=True,
    )

    ingestion_address: str = "127.0.0.1:50051"
    """host:port of the ingestion service."""
    embedding_address: str = "127.0.0.1:50052"
    """host:port of the embedding service."""
    retrieval_address: str = "127.0.0.1:50053"
    """host:port of the retrieval service."""
    inference_address: str = "127.0.0.1:50054"
    """host:port of the inference service."""
    feedback_address: str = "127.0.0.1:50055"
    """host:port of the feedback service."""
    evaluation_address: str = "127.0.0.1:50056"
    """host:port of the evaluation service."""
    retraining_address: str = "127.0.0.1:50057"
    """host:port of the retraining service."""
    api_key: SecretStr = SecretStr("gyre-dev-key")
    """API key or JWT; the default is the development key, which production refuses."""
    tls: bool = False
    """Speak TLS, trusting the system's certificate authorities."""
    timeout: float = 30.0
    """Seconds that a call may take where the caller says nothing."""
