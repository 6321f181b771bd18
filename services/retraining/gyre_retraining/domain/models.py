"""Versions of models: what they hold, where they come from, what they take and give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
ALIASES = (CHAMPION, PREVIOUS, CANDIDATE)
NEWEST = ""


class ModelUnknown(Exception):
    """The tenant has no such model, version or alias."""


class ModelRefused(Exception):
    """A folder that is no model, or holds what may not be loaded; the message says which file."""


class ModelAbsent(Exception):
    """The files of a version are not on this machine."""


class ModelDamaged(Exception):
    """Files of a kept model are not what their hashes say."""


class ModelKind(StrEnum):
    """Which kind of model goes round."""

    LANGUAGE = "language"
    EMBEDDING = "embedding"
    REWARD = "reward"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """path: inside of the model's folder, with slashes."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output. type: `string`, `messages` or `float32`. shape: -1 is any length."""

    name: str
    type: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What the model takes and gives."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A folder in the store. architecture: as its `config.json` names it, or empty. dimension: of
    its hidden states, 0 where it is not told. parameters: counted in the weights."""

    uri: str
    files: tuple[ModelFile, ...]
    content_hash: str
    architecture: str = ""
    dimension: int = 0
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The dataset as the card tells it. rows: by split. filters: rows left out, in their order."""

    dataset_id: str
    form: str
    rows: Mapping[str, int]
    filters: tuple[tuple[str, int], ...] = ()
    slices: Mapping[str, int] = field(default_factory=dict)
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """How a model was made. recipe_yaml: as it was run, overrides included."""

    recipe: str
    recipe_hash: str = ""
    method: str = ""
    reason: str = ""
    recipe_yaml: str = ""
    steps: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    code_version: str = ""


@dataclass(frozen=True, slots=True)
class Licences:
    """By setting; empty means that nothing is known, and the card says so."""

    data: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is kept of a version that has no number yet. training_id: empty for an imported one."""

    tenant: str
    name: str
    kind: ModelKind
    stored: StoredModel
    register_time: datetime
    signature: Signature
    training_id: str = ""
    base_model: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    making: Making | None = None
    licences: Licences = Licences()
    tracking_run_id: str = ""

    @property
    def key(self) -> str:
        """What makes a repeated registration the same version."""
        return self.training_id or f"content-{self.stored.content_hash}"

    @property
    def dataset_id(self) -> str:
        return self.dataset.dataset_id if self.dataset else ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version in the registry, counted from 1."""

    record: ModelRecord
    version: int
    aliases: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """Name and version, as others refer to it."""
        return f"{self.record.name}/{self.version}"


def content_hash(files: Iterable[ModelFile]) -> str:
    """SHA-256 of the manifest: the content that is served."""
    return hashlib.sha256(manifest(files).encode()).hexdigest()


def manifest(files: Iterable[ModelFile]) -> str:
    """What `sha256sum --check` reads, in the order of the paths."""
    ordered = sorted(files, key=lambda one: one.path)
    return "".join(f"{one.sha256}  {one.path}\n" for one in ordered)


def signature_of(kind: ModelKind, dimension: int) -> Signature:
    """dimension: of the vectors that an embedding model gives; 0 where it is not known."""
    text, messages = Port("text", "string"), Port("messages", "messages")
    if kind is ModelKind.EMBEDDING:
        return Signature((text,), (Port("vector", "float32", (dimension or -1,)),))
    if kind is ModelKind.REWARD:
        return Signature((messages, Port("completion", "string")), (Port("score", "float32"),))
    return Signature((messages,), (Port("completion", "string"),))


def checked_name(name: str) -> str:
    """Raises `ModelRefused`: the name becomes a folder and a part of addresses."""
    if not NAME.fullmatch(name):
        raise ModelRefused(
            f"the name {name[:80]!r}: 1 to 64 letters, digits, dots, _ or -, no dot first"
        )
    return name
