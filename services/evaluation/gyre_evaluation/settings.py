"""Settings of the evaluation service, read from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from gyre_runtime.settings import DEVELOPMENT_KEY, RuntimeSettings
from pydantic import BaseModel, Field, SecretStr, model_validator


class JudgeModel(BaseModel):
    """A model that judges, behind an OpenAI-compatible endpoint."""

    base_url: str
    """Up to and with the version, e.g. `http://127.0.0.1:8080/v1`."""
    model: str
    """Name of the model there."""
    api_key: SecretStr = SecretStr("")
    """Bearer token; empty where none is asked for."""
    timeout: float = Field(60.0, gt=0.0)
    """Seconds for one judgement."""


class Price(BaseModel):
    """What a million tokens cost, in the currency of all prices."""

    input: float = Field(0.0, ge=0.0)
    """Prompt tokens."""
    output: float = Field(0.0, ge=0.0)
    """Answer tokens."""


class Settings(RuntimeSettings):
    """Times in seconds."""

    grpc_address: str = "127.0.0.1:50056"
    """Where RPCs are served."""
    metrics_port: int = 9106
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    database_url: str | None = "sqlite+aiosqlite:///var/evaluation/evaluation.db"
    """Datasets, runs, live scores and alerts."""

    inference_address: str = "127.0.0.1:50054"
    """The inference service, which runs ask."""
    retrieval_address: str = "127.0.0.1:50053"
    """The retrieval service: passages that answers are judged by."""
    embedding_address: str = "127.0.0.1:50052"
    """The embedding service: sentences that are compared by meaning."""
    feedback_address: str = "127.0.0.1:50055"
    """The feedback service: reviews that become examples."""
    call_timeout: float = Field(120.0, gt=0.0)
    """Longest time of one answer of a run."""
    evaluation_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """Tenant to the API key with which its runs ask the other services (JSON). A run goes on long
    after the call that started it, so it cannot use the caller's."""

    run_concurrency: int = Field(4, ge=1, le=64)
    """Answers that one run asks for at once."""
    runs_at_once: int = Field(2, ge=1, le=16)
    """Runs that this process works on at once."""
    run_lease: float = Field(15.0, gt=1.0)
    """After so long without a sign of its process, another one takes a run over."""
    run_attempts: int = Field(6, ge=1)
    """How often an example is tried while a service does not answer or is full."""
    minimum_pairs: int = Field(20, ge=2)
    """A comparison over fewer pairs says `insufficient`."""

    judges: list[JudgeModel] = Field(default_factory=list)
    """Models that judge (JSON); without them metrics of judges are refused."""
    judge_concurrency: int = Field(4, ge=1, le=64)
    """Judgements asked for at once."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """Model to what a million of its tokens cost (JSON)."""

    evaluation_principals: frozenset[str] = frozenset({"evaluation"})
    """Callers as which this service's own runs ask (those of `evaluation_keys`, as inference knows
    them): what they label as a run's is not watched (JSON list). Others cannot say so."""
    online_share: float = Field(0.25, ge=0.0, le=1.0)
    """Share of live answers that are scored and watched for drift; by answer id, so the same ones
    always."""
    online_slices: frozenset[str] = frozenset({"segment", "product"})
    """Labels of clients that live scores are cut by, beside collection and language (JSON list)."""
    online_window: int = Field(3600, ge=60)
    """Seconds over which live scores are summed."""
    online_judge_budget: int = Field(100, ge=0)
    """Live answers a day and tenant that judges score; 0, or no judges, means none."""
    online_keep: float = Field(90 * 86_400, gt=0)
    """How long live scores and their windows are kept."""
    quality_limits: dict[str, float] = Field(default_factory=dict)
    """Metric to the least mean of a window that is good, or the largest where less is better, e.g.
    `{"groundedness": 0.6, "failure": 0.02}` (JSON)."""
    drift_reference: int = Field(1000, ge=100)
    """First answers of a traffic, which say what is normal."""
    drift_window: int = Field(400, ge=50)
    """Answers that are compared with them at once."""
    alert_cool_down: float = Field(86_400, ge=0)
    """How long a cause is said no more (abuse: as long as its throttling)."""
    abuse_attempts: int = Field(3, ge=1)
    """Attempts of one end user within 10 minutes that raise an alert."""
    abuse_principal_attempts: int = Field(30, ge=1)
    """The same of a principal, over all of its end users."""
    abuse_hold: float = Field(900, ge=0)
    """How long inference then throttles."""
    abuse_principal_share: float = Field(0.05, ge=0, le=1)
    """Share of its requests that a principal's attempts are at least, for it to be held whole."""
    volume_least: int = Field(300, ge=1)
    """Requests of a principal within 5 minutes below which no volume is unusual."""
    volume_factor: float = Field(5.0, gt=1)
    """How many times its usual number is unusual; the usual one is known after an hour."""
    volume_hold: float = Field(0.0, ge=0)
    """How long inference throttles a principal for its volume; 0 only raises the alert."""
    alert_webhook_url: str | None = None
    """Where alarms are posted; empty means that they are events and metrics alone."""
    alert_webhook_secret: SecretStr = SecretStr("")
    """Signs what is posted (Standard Webhooks): `whsec_` and base64, or any text."""
    alert_webhook_timeout: float = Field(10.0, gt=0)
    """Longest time of one delivery."""

    mlflow_tracking_uri: str = "sqlite:///var/mlflow/mlflow.db"
    """Where finished runs are noted; empty leaves it off."""
    worker_memory: int = Field(2_000_000_000, gt=0)
    """Bytes that the process which computes metrics, reports and tests may use."""
    worker_seconds: int = Field(300, gt=0)
    """Longest time of one job of it."""

    @model_validator(mode="after")
    def _sign_alarms(self) -> Settings:
        if self.alert_webhook_url and not self.alert_webhook_secret.get_secret_value():
            raise ValueError("set GYRE_ALERT_WEBHOOK_SECRET: alarms are signed")
        return self

    @model_validator(mode="after")
    def _know_the_development_tenant(self) -> Settings:
        if self.env == "development":
            self.evaluation_keys = {"demo": SecretStr(DEVELOPMENT_KEY), **self.evaluation_keys}
            self.evaluation_principals |= {"developer"}
        return self
