"""What the process that runs the server hands down to its models."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class ServerEnvironment(BaseModel):
    """Read once, from the variables that all of gyre's processes share."""

    model_config = ConfigDict(frozen=True)

    otlp_endpoint: str = ""

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> ServerEnvironment:
        return cls(otlp_endpoint=variables.get("GYRE_OTLP_ENDPOINT", ""))
