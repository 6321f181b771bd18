"""Settings of the ingestion service; every one is an environment variable GYRE_<NAME>."""

from pathlib import Path
from typing import Literal, Self

from gyre_runtime.settings import RuntimeSettings
from pydantic import Field, SecretStr, model_validator

from gyre_ingestion.domain.personal_data import PersonalDataPolicy


class Settings(RuntimeSettings):
    """What the ingestion service needs to know; lists are JSON."""

    grpc_address: str = "127.0.0.1:50051"
    """Where the RPCs are answered."""
    metrics_port: int = 9101
    """Port of the Prometheus metrics."""
    database_url: str | None = "sqlite+aiosqlite:///var/ingestion/ingestion.db"
    """Where documents and the outbox are kept: SQLite, or `postgresql+asyncpg://...`."""

    max_document_bytes: int = Field(50_000_000, gt=0)
    """Largest document that is taken in, in bytes."""
    content_store: Literal["jetstream", "s3"] = "jetstream"
    """Where originals are kept."""
    content_bucket: str = "gyre-documents"
    """Object store or bucket of the originals; the provisioner makes it."""
    content_timeout: float = Field(30.0, gt=0)
    """Seconds after which an original that does not come whole counts as missing."""
    sweep_interval: float = Field(300.0, gt=0)
    """Seconds between two passes that remove originals which nothing refers to."""
    sweep_grace: float = Field(600.0, ge=60)
    """Seconds for which such an original is left alone: an upload stores it before it refers."""
    succession_patience: float = Field(60.0, ge=0, le=600)
    """Seconds for which a document's text stays in search at most, after its deletion or change,
    until a copy of it is there."""

    s3_endpoint: str | None = None
    """Address of the S3 service, e.g. http://127.0.0.1:9000; without it AWS by region."""
    s3_region: str = "us-east-1"
    """Region of the buckets."""
    s3_access_key: str | None = None
    """Access key; without it the environment's own AWS credentials are used."""
    s3_secret_key: SecretStr | None = None
    """Secret of the access key."""

    import_roots: tuple[Path, ...] = ()
    """Folders below which ImportDocuments may read; none by default."""
    import_hosts: tuple[str, ...] = ()
    """Hosts from which it may fetch; `*.example.org` means all below; none by default."""
    import_private_addresses: bool = False
    """Whether an allowed host may lie in a private network."""
    import_buckets: tuple[str, ...] = ()
    """Buckets from which it may fetch; none by default."""
    import_timeout: float = Field(30.0, gt=0)
    """Seconds that a server may be silent while a document is fetched."""

    tokenizer_file: Path = Path("var/models/all-minilm-l6-v2/tokenizer.json")
    """The embedding model's tokenizer, by which passages are measured."""
    chunk_tokens: int = Field(256, ge=16)
    """Tokens of a passage at most; more than the embedding model reads is lost."""
    chunk_overlap: int = Field(1, ge=0)
    """Sentences that neighbouring passages share."""
    part_chunks: int = Field(64, gt=0)
    """Passages of one event at most; a smaller number spreads one document over more workers."""
    near_duplicate_threshold: float = Field(0.8, ge=0, le=1)
    """Similarity from which documents are near-duplicates; below 0.6 some are missed."""

    personal_data_policy: PersonalDataPolicy = PersonalDataPolicy.MASK
    """Policy of collections that have none of their own: what leaks cannot be called back, so the
    safe one is the default and `off` is a choice."""
    pseudonym_key: SecretStr | None = None
    """Secret from which pseudonyms are made; where it is absent in production, the policy
    `pseudonymise` cannot be chosen. Changing it changes all pseudonyms."""
    personal_data_regions: tuple[str, ...] = ("DE", "AT", "CH", "GB", "US", "FR", "ES")
    """Countries (ISO 3166) whose national phone numbers are recognised."""
    personal_data_name_models: dict[str, str] = Field(default_factory=dict)
    """Language to the installed spaCy model that finds names in it; without one, names stay."""

    worker_concurrency: int = Field(4, gt=0)
    """Documents that are processed at once."""
    parser_processes: int = Field(2, gt=0)
    """Processes that parse; a file that harms one harms no other."""
    follow_concurrency: int = Field(8, gt=0)
    """Events of other services that are applied at once."""
    watch_poll_seconds: float = Field(2.0, gt=0)
    """How late a watcher sees a change that another replica made."""

    @property
    def secret_of_pseudonyms(self) -> bytes | None:
        """The key in bytes; a public one in development."""
        if self.pseudonym_key is not None:
            return self.pseudonym_key.get_secret_value().encode()
        return b"gyre-development" if self.env == "development" else None

    @model_validator(mode="after")
    def _have_a_key_for_the_default_policy(self) -> Self:
        wanted = self.personal_data_policy is PersonalDataPolicy.PSEUDONYMISE
        if wanted and self.secret_of_pseudonyms is None:
            raise ValueError("the policy pseudonymise needs GYRE_PSEUDONYM_KEY")
        return self
