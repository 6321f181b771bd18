"""What a person may say about the local platform; every setting is an environment variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).parents[3]


class LocalSettings(BaseSettings):
    """Read with the prefix `GYRE_LOCAL_`; paths are relative to the checkout."""

    model_config = SettingsConfigDict(
        env_prefix="GYRE_LOCAL_",
        env_ignore_empty=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    state: Path = REPOSITORY / "var"
    """Folder of everything that is made at run time; removing it forgets all."""
    models_environment: Path = REPOSITORY / ".venv-models"
    """Environment of the model server, apart from the services'."""
    model_dir: Path = REPOSITORY / "infra" / "triton" / "checkpoints" / "gyre-reader"
    """Hugging Face directory of the language model; any causal language model in safetensors."""
    model_name: str = "gyre-reader"
    """Name of the language model on Triton."""
    model_engine: str = "torch"
    """What serves it: `torch`, or `trtllm` on the GPUs of the `gpu` profile."""
    model_settings: dict[str, Any] = {}
    """The engine's settings, as JSON; infra/triton says which."""
    start_timeout: float = 180.0
    """Seconds that the whole platform may take to start."""
    stop_timeout: float = 30.0
    """Seconds that a process may take to stop before it is killed."""
