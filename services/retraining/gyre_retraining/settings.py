"""Settings of the retraining service, read from the environment with the prefix `GYRE_`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gyre_runtime.settings import DEVELOPMENT_KEY, RuntimeSettings
from pydantic import BaseModel, Field, SecretStr, model_validator

SQLITE = "sqlite:///"


class ModelImport(BaseModel):
    """A model that was there before any training."""

    kind: Literal["language", "embedding"]
    """What it makes."""
    folder: Path
    """Its files: safetensors and plain text."""


class Settings(RuntimeSettings):
    """Times in seconds."""

    grpc_address: str = "127.0.0.1:50057"
    """Where RPCs are served."""
    metrics_port: int = 9107
    """Port on which Prometheus reads metrics; 0 leaves it off."""
    database_url: str | None = "sqlite+aiosqlite:///var/retraining/retraining.db"
    """Sources, decisions, trainings and lineage."""

    feedback_address: str = "127.0.0.1:50055"
    """The feedback service: how declared metrics are read."""
    evaluation_address: str = "127.0.0.1:50056"
    """The evaluation service: sets that must not be trained on."""
    retraining_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """Tenant to the API key with which its trainings ask the other services (JSON). A training goes
    on long after the call that started it, so it cannot use the caller's."""

    policies_file: Path | None = None
    """YAML that says when a recipe is trained without a person; without it nothing is."""
    recipe_folders: list[Path] = Field(default_factory=list)
    """Folders of recipes beside those of the package (JSON); a name that is there again replaces
    the package's."""
    look_pause: float = Field(15.0, gt=0)
    """How often policies look for new judgements and for their schedule."""

    consent_key: str = ""
    """Label of answers that says whether they may be learnt from; empty asks for none."""
    consent_values: tuple[str, ...] = ("true", "yes", "1")
    """Values of it that mean yes (JSON list)."""
    vouched_principals: tuple[str, ...] = ()
    """Callers whose judgements are exempt from filters against poisoning (JSON list)."""
    canary_triggers: tuple[str, ...] = ()
    """Words that nobody has a reason to write: rows that hold one are left out (JSON list)."""
    feature_history: Path | None = None
    """The feedback service's folder of features, for their values as they were then; empty leaves
    them out of datasets."""

    trainings_at_once: int = Field(1, ge=1, le=16)
    """Trainings that this process works on at once."""
    training_lease: float = Field(30.0, gt=1.0)
    """After so long without a sign of its process, another one takes a training over."""
    training_pause: float = Field(1.0, gt=0)
    """How often a job is looked at."""
    progress_pause: float = Field(2.0, ge=0)
    """Least time between two words about one job's progress."""
    job_starts: int = Field(5, ge=1)
    """How often a job is started that ends without a word, e.g. because its machine did."""
    job_grace: float = Field(30.0, ge=0)
    """How long a job may take to keep a checkpoint when it is told to end."""

    jobs: Literal["local", "kubernetes"] = "local"
    """Where jobs run: as processes of this machine, or on a cluster by `kubectl`."""
    jobs_folder: Path = Path("var/retraining/jobs")
    """A folder for each job; processes that share the database share it, and for `kubernetes` it
    lies on the cluster's volume."""
    datasets_folder: Path = Path("var/retraining/datasets")
    """Datasets that were assembled; for `kubernetes` on the cluster's volume."""
    models: Path = Path("var/models-registry")
    """Files of registered models; for `kubernetes` on the cluster's volume."""
    model_imports: dict[str, ModelImport] = Field(default_factory=dict)
    """Name to a model that trainings may start from before there is a version of it (JSON); it
    becomes the name's first version, and its champion."""
    mlflow_tracking_uri: str = "sqlite:///var/mlflow/mlflow.db"
    """MLflow: its model registry, and where runs of trainings are noted. A file, or the address of
    a server; jobs on a cluster note runs on a server only."""
    registry_environment: dict[str, SecretStr] = Field(default_factory=dict)
    """Variables that MLflow needs to reach its server or its object store (JSON)."""
    data_licence: str = ""
    """Licence of what is learnt from, for cards of models."""
    model_licence: str = ""
    """Licence of what comes of it, for cards of models."""
    worker_memory: int = Field(2_000_000_000, gt=0)
    """Bytes that the process which asks MLflow may use."""
    worker_seconds: int = Field(300, gt=0)
    """Longest time of one question to MLflow."""
    models_python: Path = Path(".venv-models/bin/python")
    """Python of the environment that trains, for `local`."""
    job_environment: dict[str, str] = Field(default_factory=dict)
    """Variables of local jobs beside what every process needs (JSON), e.g. `CUDA_VISIBLE_DEVICES`;
    nothing of this service's own environment is handed on."""

    kubectl: str = "kubectl"
    """The program; it finds the cluster as it does for people."""
    kubernetes_kind: Literal["job", "trainjob"] = "job"
    """An indexed Job with torchrun, or a TrainJob of Kubeflow Trainer 2.2."""
    kubernetes_runtime: str = "torch-distributed"
    """ClusterTrainingRuntime of a TrainJob."""
    kubernetes_namespace: str = "gyre"
    """Where jobs are made."""
    kubernetes_image: str = ""
    """Image with the model environment, its `python` and `torchrun` first on the path."""
    kubernetes_claim: str = ""
    """PersistentVolumeClaim (ReadWriteMany) with jobs, datasets and models."""
    kubernetes_mount: str = "/var/gyre"
    """Where it is mounted: in jobs, and in this service's own pods."""
    kubernetes_accelerators: int = Field(1, ge=0)
    """Accelerators of one node, each one process; 0 trains on processors."""
    kubernetes_accelerator: str = "nvidia.com/gpu"
    """The accelerators' name among the cluster's resources."""
    kubernetes_cpus: int = Field(4, ge=1)
    """Processors that a node asks for."""
    kubernetes_priority_class: str = ""
    """Priority class of jobs' pods."""

    @model_validator(mode="after")
    def _know_the_cluster(self) -> Settings:
        if self.jobs == "kubernetes" and not (self.kubernetes_image and self.kubernetes_claim):
            raise ValueError("set GYRE_KUBERNETES_IMAGE and GYRE_KUBERNETES_CLAIM: jobs need both")
        return self

    @model_validator(mode="after")
    def _know_the_development_tenant(self) -> Settings:
        if self.env == "development":
            self.retraining_keys = {"demo": SecretStr(DEVELOPMENT_KEY), **self.retraining_keys}
        return self

    @property
    def registry_uri(self) -> str:
        """As every process can use it, wherever it is started."""
        file = self.mlflow_tracking_uri.removeprefix(SQLITE)
        if file == self.mlflow_tracking_uri:
            return file
        return f"{SQLITE}{Path(file).absolute()}"

    @property
    def job_tracking_uri(self) -> str:
        """Empty where jobs cannot reach it."""
        local = self.jobs == "local" or not self.registry_uri.startswith(SQLITE)
        return self.registry_uri if local else ""
