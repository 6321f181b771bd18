"""Puts the models into the model server's repository, with the model environment's python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gyre_local.settings import LocalSettings

EMBEDDER = "all-minilm-l6-v2"
QUERY_EMBEDDER = f"{EMBEDDER}-query"


class ModelsError(RuntimeError):
    """The models cannot be prepared; the message says what to do."""


def prepare_models(settings: LocalSettings) -> Path:
    """Returns the repository with the models of the settings made anew.

    What services placed there stays, and so does the exported embedding model.
    """
    models = settings.state / "models"
    repository = settings.state / "triton" / "repository"
    for name in (EMBEDDER, QUERY_EMBEDDER, settings.model_name):
        shutil.rmtree(repository / name, ignore_errors=True)
    source, exported = models / EMBEDDER, models / f"{EMBEDDER}-openvino"
    if not exported.is_dir():
        _run(settings, "minilm", "--output", str(source))
        _run(settings, "export-embedding", "--model-dir", str(source), "--output", str(exported))
    _materialise(settings, "openvino", exported, EMBEDDER, {})
    query = {"goal": "latency", "threads": 1}
    _materialise(settings, "openvino", exported, QUERY_EMBEDDER, query)
    language = (settings.model_engine, settings.model_dir, settings.model_name)
    _materialise(settings, *language, settings.model_settings)
    return repository


def encoder_folder(settings: LocalSettings) -> Path:
    """The embedding model as a Hugging Face directory."""
    return (settings.state / "models" / EMBEDDER).absolute()


def tokenizer_file(settings: LocalSettings) -> Path:
    """The embedding model's tokenizer, which the chunker counts with."""
    return settings.state / "models" / f"{EMBEDDER}-openvino" / "tokenizer.json"


def _materialise(
    settings: LocalSettings, engine: str, source: Path, name: str, options: Mapping[str, object]
) -> None:
    _run(
        settings,
        *("materialise", "--engine", engine, "--model-dir", str(source), "--name", name),
        *("--repository", str(settings.state / "triton" / "repository")),
        *(f"--set={key}={json.dumps(value)}" for key, value in options.items()),
    )


def _run(settings: LocalSettings, *arguments: str) -> None:
    python = settings.models_environment / "bin" / "python"
    if not python.exists():
        raise ModelsError(f"{settings.models_environment} is missing: `make setup` makes it")
    done = subprocess.run(
        [python, "-m", "gyre_models", *arguments],
        env={**os.environ, "TRANSFORMERS_VERBOSITY": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ModelsError(f"gyre_models {arguments[0]} failed:\n{done.stderr.strip()[-2000:]}")
