"""What an operator may set for the `openvino` engine: `1/engine.json` of a model's folder."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """The defaults fit bulk work; a twin for queries sets `goal` to latency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    goal: Literal["throughput", "latency"] = "throughput"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto is bfloat16 where the processor computes in it, else float32"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 takes every core")
    sub_batch: int = Field(4, ge=1, description="texts of like length that are computed together")
    max_batch: int = Field(32, ge=1, description="texts that one execution may hold")
