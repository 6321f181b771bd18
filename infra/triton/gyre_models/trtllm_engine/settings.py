"""What an operator may set for the `trtllm` engine: `1/engine.yaml` of a model's folder.

Names and meanings under `llm` are those of TensorRT-LLM's LLM arguments; a key that is not listed
here is refused before the engine starts, because starting it takes minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class SettingsError(ValueError):
    """The file cannot be used; the message names every key and what is wrong with it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KvCache(_Strict):
    enable_block_reuse: bool = True
    enable_partial_reuse: bool = True
    free_gpu_memory_fraction: float = Field(
        0.85, gt=0, le=0.98, description="of what the weights leave free; 2 models: docs/gpu.md"
    )
    max_tokens: int | None = Field(None, ge=1, description="instead of a share of the memory")
    host_cache_size: int = Field(0, ge=0, description="bytes of host memory for evicted blocks")
    dtype: Literal["auto", "fp8", "nvfp4"] = "auto"
    tokens_per_block: int = Field(32, ge=2, description="prompt starts are shared in such steps")


class Scheduler(_Strict):
    capacity_scheduler_policy: Literal["GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"] = (
        "GUARANTEED_NO_EVICT"
    )


class CudaGraphs(_Strict):
    max_batch_size: int = Field(0, ge=0, description="0: as the engine's")
    enable_padding: bool = True


class Lora(_Strict):
    """Absent fields are read from the adapters themselves."""

    max_lora_rank: int | None = Field(None, ge=1)
    max_loras: int | None = Field(None, ge=1, description="adapters on the GPU at a time")
    max_cpu_loras: int | None = Field(None, ge=1, description="adapters kept in host memory")


class Speculation(_Strict):
    """decoding_type chooses the class `<decoding_type>DecodingConfig` of tensorrt_llm.llmapi.

    Draft models lie in the model's own folder: a path is relative to `1/weights`.
    """

    decoding_type: Literal["NGram", "Eagle", "Eagle3", "MTP", "DraftTarget"]
    max_draft_len: int | None = Field(None, ge=1)
    max_matching_ngram_size: int | None = Field(None, ge=1)
    num_nextn_predict_layers: int | None = Field(None, ge=1)
    speculative_model: str | None = None
    speculative_model_dir: str | None = None
    eagle3_one_model: bool | None = None


class LlmArguments(_Strict):
    """What `tensorrt_llm.LLM` is made with; the model's directory comes from its folder."""

    tensor_parallel_size: int = Field(1, ge=1)
    pipeline_parallel_size: int = Field(1, ge=1)
    moe_expert_parallel_size: int | None = Field(None, ge=1)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_batch_size: int = Field(64, ge=1, description="answers that are written at the same time")
    max_num_tokens: int = Field(8192, ge=16, description="of one step, prompts and answers")
    max_seq_len: int | None = Field(None, ge=8, description="prompt and answer; None: the model's")
    enable_chunked_prefill: bool = True
    stream_interval: int = Field(1, ge=1, description="tokens between two parts of an answer")
    disable_overlap_scheduler: bool = False
    guided_decoding_backend: Literal["xgrammar", "llguidance"] | None = "xgrammar"
    sampler_type: Literal["auto", "TorchSampler", "TRTLLMSampler"] = "auto"
    attn_backend: Literal["TRTLLM", "FLASHINFER", "VANILLA"] = "TRTLLM"
    kv_cache_config: KvCache = Field(default_factory=KvCache)
    scheduler_config: Scheduler = Field(default_factory=Scheduler)
    cuda_graph_config: CudaGraphs | None = Field(default_factory=CudaGraphs)
    speculative_config: Speculation | None = None
    lora_config: Lora | None = None
    otlp_traces_endpoint: str | None = Field(
        None, description="spans of the engine itself; needs a release with trace_headers"
    )


class EngineSettings(_Strict):
    """Every field has a default that fits an 8B model on one GPU of 24 GB or more."""

    llm: LlmArguments = Field(default_factory=LlmArguments)
    max_waiting: int = Field(256, ge=1, description="requests that may wait; more are refused")
    default_max_tokens: int = Field(256, ge=1, description="where a request does not say")
    coalesce_above: int = Field(
        16, ge=0, description="with more answers than this at a time, tokens travel in groups"
    )
    coalesce_ms: int = Field(
        100, ge=0, description="the longest time that a token waits for others"
    )
    silence_s: float = Field(
        60.0, gt=0, description="an engine that owes answers and is silent for so long is dead"
    )


def read_settings(file: Path) -> EngineSettings:
    """Raises `SettingsError`."""
    try:
        return checked(yaml.safe_load(file.read_text()) or {})
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not YAML: {error}") from error
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from error


def checked(values: Any) -> EngineSettings:
    """Raises `SettingsError` that names every key and what is wrong with it."""
    try:
        return EngineSettings.model_validate(values)
    except ValidationError as error:
        lines = (_line(problem) for problem in error.errors(include_url=False))
        raise SettingsError("; ".join(lines)) from error


def _line(problem: Any) -> str:
    key = ".".join(map(str, problem["loc"])) or "the whole"
    if problem["type"] == "extra_forbidden":
        return f"{key}: no such setting"
    return f"{key}: {problem['msg']}"
