"""Settings that every service shares; a service's own class inherits from this one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gyre_runtime.events.names import TOKEN

DEVELOPMENT_KEY = "gyre-dev-key"


class ApiKey(BaseModel):
    """Who a key belongs to."""

    tenant: str = Field(pattern=rf"^{TOKEN.pattern}$")
    principal: str = Field(min_length=1, max_length=128)
    roles: frozenset[str] = frozenset()


class RuntimeSettings(BaseSettings):
    """Read from the environment with the prefix `GYRE_`; sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="GYRE_", use_attribute_docstrings=True, extra="ignore"
    )

    env: Literal["development", "production"] = "development"
    """`production` refuses the development key and plain-text secrets on the wire."""

    nats_url: str = "nats://127.0.0.1:4222"
    """Address of the bus; several are parted by commas."""
    nats_user: str | None = None
    """User name on the bus, where it asks for one."""
    nats_password: SecretStr | None = None
    """Password on the bus."""
    nats_credentials_file: Path | None = None
    """Credentials file (JWT and nkey seed), instead of a password."""
    nats_tls_ca_file: Path | None = None
    """Authority that signed the bus's certificate; turns TLS on."""
    nats_tls_cert_file: Path | None = None
    """This service's certificate; the bus takes its identity from it."""
    nats_tls_key_file: Path | None = None
    """Key of that certificate."""

    grpc_address: str = "127.0.0.1:0"
    """Where RPCs are served; port 0 takes a free one."""
    grpc_tls_cert_file: Path | None = None
    """Certificate of the RPC server; turns TLS on."""
    grpc_tls_key_file: Path | None = None
    """Key of that certificate."""
    grpc_tls_ca_file: Path | None = None
    """Authority that signed the certificates of services called; turns TLS on for clients."""
    grpc_concurrent_rpcs: int = 128
    """RPCs served at once; more are refused at once with RESOURCE_EXHAUSTED."""
    grpc_message_limit: int = 4 * 1024 * 1024
    """Largest message of an RPC."""
    grpc_unary_deadline: float = 60.0
    """Longest time that a unary RPC may take, whatever its deadline says."""
    grpc_stream_deadline: float = 3600.0
    """Longest time that a streaming RPC may take."""
    grpc_tenant_rate: float = 200.0
    """RPCs per second of one tenant, with bursts of twice as many; 0 means no limit."""

    metrics_host: str = "127.0.0.1"
    """Address on which Prometheus reads metrics."""
    metrics_port: int = 0
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    otlp_endpoint: str | None = None
    """OpenTelemetry collector (gRPC), e.g. http://127.0.0.1:4317; without it nothing is sent."""

    api_keys: dict[str, ApiKey] = {}
    """API key, or `sha256:` and its hexadecimal digest, to the caller it stands for (JSON)."""
    jwt_public_key: str | None = None
    """Key (PEM) that signs JWTs; without it JWTs are refused."""
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    """Signatures that are accepted."""
    jwt_issuer: str | None = None
    """Issuer that a JWT must name, where set."""
    jwt_audience: str = "gyre"
    """Audience that a JWT must name."""
    jwt_tenant_claim: str = "tenant"
    """Claim that names the tenant."""
    jwt_roles_claim: str = "roles"
    """Claim that lists the roles."""

    database_url: str | None = None
    """SQLAlchemy URL, e.g. sqlite+aiosqlite:///var/ingestion/ingestion.db or postgresql+asyncpg://..."""
    outbox_limit: int = 1_000_000
    """Unsent events at which writes are refused."""
    disk_limit: float = 0.8
    """Share of the database's disk at which writes are refused."""
    outbox_retention: float = 14 * 86_400
    """How long sent events are kept, for rebuilding a stream."""
    inbox_retention: float = 35 * 86_400
    """How long an applied event is remembered; longer than any stream it comes from."""

    stop_timeout: float = 25.0
    """How long work in flight may take to end after SIGTERM."""
    suspect_delay: float = 5.0
    """How old a process must be before it repeats an event that may have ended the one before."""
    stall_timeout: float = 15.0
    """A process whose event loop stands still for longer ends with exit code 70."""

    @model_validator(mode="after")
    def _know_the_development_key(self) -> RuntimeSettings:
        if self.env == "production" and DEVELOPMENT_KEY in self.api_keys:
            raise ValueError(f"{DEVELOPMENT_KEY} is public: take it out of GYRE_API_KEYS")
        if self.env == "development":
            developer = ApiKey(tenant="demo", principal="developer", roles=frozenset({"admin"}))
            self.api_keys = {DEVELOPMENT_KEY: developer, **self.api_keys}
        return self
