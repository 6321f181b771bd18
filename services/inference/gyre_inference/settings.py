"""Settings of the inference service, from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from pathlib import Path

from gyre_runtime.settings import RuntimeSettings
from pydantic import Field, SecretStr


class Settings(RuntimeSettings):
    """Times in seconds."""

    grpc_address: str = "127.0.0.1:50054"
    """Where questions are answered."""
    metrics_port: int = 9104
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    database_url: str | None = "sqlite+aiosqlite:///var/inference/inference.db"
    """Where records of answers wait until the bus has them."""

    retrieval_address: str = "127.0.0.1:50053"
    """The retrieval service."""
    retrieval_timeout: float = Field(default=10.0, gt=0)
    """Longest wait for a search."""
    embedding_address: str = "127.0.0.1:50052"
    """The embedding service; asked only when `selection_candidates` is not 0."""
    embedding_timeout: float = Field(default=3.0, gt=0)
    """Longest wait for the vectors of sentences; after it the answer is chosen by words alone."""

    triton_address: str = "127.0.0.1:8001"
    """The model server."""
    triton_admin_key: SecretStr = SecretStr("")
    """Key of its restricted calls; with it, records say the version of the model's files."""
    language_model: str = "gyre-reader"
    """Name of the language model on the model server."""
    language_models: frozenset[str] = frozenset()
    """More models that Generate may be asked for (JSON list)."""
    first_token_timeout: float = Field(default=30.0, gt=0)
    """Longest silence before a model's first token, its queue included."""
    next_token_timeout: float = Field(default=10.0, gt=0)
    """Longest silence between two tokens."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest text of Generate where the request does not say."""

    prompts_folder: Path | None = None
    """Prompt files `<name>/<version>.yaml`; empty means those of the package."""
    chains_folder: Path | None = None
    """Chain files `<name>/<version>.yaml`; empty means those of the package."""
    registry_poll: float = Field(default=0.5, gt=0)
    """How often a process looks for moved labels, beside hearing of them."""
    throttle_poll: float = Field(default=1.0, gt=0)
    """How often a process looks for callers that are held, beside hearing of them."""
    answer_prompt: str = "answer"
    """Prompt of Answer where the request names none: `answer` quotes, `answer-free` writes."""
    answer_top_k: int = Field(default=10, ge=1, le=50)
    """Passages retrieved for an answer where the request does not say."""
    answer_support: float = Field(default=0.5, ge=0, le=1)
    """Least support by the documents, 0 to 1, below which the answer is a refusal. At 0.5 nine of
    ten questions about something else are refused (`python -m calibration refusal`)."""
    selection_candidates: int = Field(default=16, ge=0, le=255)
    """Sentences, best by words, that are compared by meaning too; 0 compares none."""

    chain_http_hosts: frozenset[str] = frozenset()
    """Hosts that steps of chains may call, `*.example.org` for all below one (JSON list)."""
    chain_http_private: bool = False
    """Whether those hosts may be in a private network."""
    chain_http_headers: dict[str, dict[str, SecretStr]] = Field(default_factory=dict)
    """Host to headers that are sent to it, e.g. its key (JSON); definitions hold no secrets."""
    chain_runs_kept: float = Field(default=7 * 86_400, gt=0)
    """How long the steps of a run are kept after the last of them."""

    erasure_grace: float = Field(default=30.0, ge=0)
    """How long answers that are being given when a person is to be forgotten may still take; then
    their records are erased, too."""

    experiment_pause: float = Field(default=30.0, gt=0)
    """How long shares of an experiment stay before judgements may move them again."""
    rollout_metrics: tuple[str, ...] = ("feedback.helpful",)
    """Judged metrics that decide where a rollout names none (JSON list): `feedback.NAME` or
    `evaluation.NAME`, with `-` before them where less is better."""
    rollout_steps: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Shares of the traffic that a candidate gets, one after the other (JSON list)."""
    rollout_minimum: int = Field(default=50, ge=1)
    """Judgements of the candidate's answers that each step needs."""
    rollout_margin: float = Field(default=0.1, gt=0, le=0.5)
    """A candidate that is worse by less than this is good enough."""
    rollout_shadow_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the requests that a candidate answers unseen before anybody sees it."""
    rollout_shadow_pairs: int = Field(default=50, ge=0)
    """Pairs of answers that the shadow needs; 0 leaves it out."""
    rollout_keep: float = Field(default=600.0, ge=0)
    """How long the champion of before stays loaded after a promotion."""
    rollout_drain: float = Field(default=30.0, ge=0)
    """How long a candidate that was taken back stays loaded."""
    rollout_trained: bool = True
    """Whether a trained language model is rolled out by itself, once evaluation's gate passed it;
    only under a name that is offered here."""
    rollout_gate: float = Field(default=86_400, gt=0)
    """How long a rollout waits for its gate's verdict."""
    rollout_poll: float = Field(default=1.0, gt=0)
    """How often a process looks at rollouts."""
    rollout_longest: float = Field(default=14 * 86_400, gt=0)
    """After this a rollout that came to no end is taken back."""
    reconcile_poll: float = Field(default=5.0, gt=0)
    """How often wanted models are compared with those of the model server."""
    models: Path = Path("var/models-registry")
    """The model store; models of rollouts are folders below it."""
    triton_repository: Path = Path("var/triton/repository")
    """The model server's repository."""
    materialise_command: tuple[str, ...] = ()
    """Program that puts a model into the repository (JSON list of its words), e.g.
    `.venv-models/bin/python -m gyre_models materialise --engine torch`; empty: others do it."""
