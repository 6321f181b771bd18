"""What an operator may set for the `torch` engine: `1/engine.json` of a model's folder."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineSettings(BaseModel):
    """Every field has a default that fits a small model on a laptop's CPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: int = Field(32, ge=1, le=1024, description="answers that are written at the same time")
    max_length: int = Field(
        2048, ge=8, description="prompt and answer, in tokens; the model's own limit holds too"
    )
    max_waiting: int = Field(128, ge=1, description="requests that may wait; more are refused")
    prefill_tokens_per_step: int = Field(
        512, ge=16, description="prompt tokens read between two decode steps"
    )
    default_max_tokens: int = Field(256, ge=1, description="where a request does not say")
    threads: int = Field(1, ge=1, description="CPU threads of the loop; 1 unless cores are free")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    prefix_cache_mb: int = Field(64, ge=0, description="memory for shared prompt starts; 0 is off")
    prefix_block: int = Field(32, ge=1, description="prompt starts are shared in steps of tokens")
    coalesce_above: int = Field(
        4, ge=0, description="with more answers than this at a time, tokens travel in groups"
    )
    coalesce_ms: int = Field(
        100, ge=0, description="the longest time that a token waits for others"
    )
    poll_steps: int = Field(8, ge=1, description="steps between two looks for a cancellation")
