"""`LLM`, its arguments and its sampling parameters."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tensorrt_llm.engine import Engine, Job
from tensorrt_llm.executor.request import LoRARequest
from tensorrt_llm.executor.result import IterationResult, RequestOutput

# Of `LLM`'s keyword arguments, those that the engine may be given.
ARGUMENTS = {
    *("pipeline_parallel_size", "moe_expert_parallel_size", "max_batch_size", "max_num_tokens"),
    *("max_seq_len", "enable_chunked_prefill", "stream_interval", "disable_overlap_scheduler"),
    *("guided_decoding_backend", "sampler_type", "attn_backend", "kv_cache_config"),
    *("scheduler_config", "cuda_graph_config", "speculative_config", "enable_lora", "lora_config"),
    *("enable_iter_perf_stats", "otlp_traces_endpoint"),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KvCacheConfig(_Strict):
    enable_block_reuse: bool = True
    enable_partial_reuse: bool = True
    free_gpu_memory_fraction: float | None = 0.9
    max_tokens: int | None = None
    host_cache_size: int | None = None
    dtype: str = "auto"
    tokens_per_block: int = 32


class SchedulerConfig(_Strict):
    capacity_scheduler_policy: str = "GUARANTEED_NO_EVICT"


class CudaGraphConfig(_Strict):
    batch_sizes: list[int] | None = None
    max_batch_size: int = 0
    enable_padding: bool = False


class NGramDecodingConfig(_Strict):
    max_draft_len: int | None = None
    max_matching_ngram_size: int = 0


class EagleDecodingConfig(_Strict):
    max_draft_len: int | None = None
    speculative_model_dir: str | None = None
    eagle3_one_model: bool | None = True


@dataclass(slots=True, kw_only=True)
class GuidedDecodingParams:
    json: str | BaseModel | dict[str, Any] | None = None
    regex: str | None = None
    grammar: str | None = None
    json_object: bool = False
    structural_tag: str | None = None

    def _validate(self) -> None:
        guides = sum(bool(getattr(self, one.name)) for one in fields(self))
        if guides > 1:
            raise ValueError(f"Only one guide can be used for a request, but got {guides}.")


@dataclass(slots=True, kw_only=True)
class SamplingParams:
    end_id: int | None = None
    pad_id: int | None = None
    max_tokens: int = 32
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    n: int = 1
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    min_p: float | None = None
    logprobs: int | None = None
    return_perf_metrics: bool = False
    guided_decoding: GuidedDecodingParams | None = None
    ignore_eos: bool = False
    detokenize: bool = True
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        if self.guided_decoding is not None:
            self.guided_decoding._validate()

    @property
    def _greedy_decoding(self) -> bool:
        return self.top_k in (None, 1) and self.top_p in (None, 0.0)


class LLM:
    """The engine is a thread over a Hugging Face model, one token of every answer a step."""

    def __init__(
        self,
        model: str | Path,
        tokenizer: Any = None,
        tokenizer_mode: str = "auto",
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        revision: str | None = None,
        tokenizer_revision: str | None = None,
        **kwargs: Any,
    ) -> None:
        for key in kwargs:
            if key not in ARGUMENTS:
                raise ValueError(f"LLM got invalid argument: {key}")
        self.args: Mapping[str, Any] = kwargs
        kv = kwargs.get("kv_cache_config") or KvCacheConfig()
        self.engine: Engine | None = Engine(
            Path(model),
            batch=kwargs.get("max_batch_size") or 2048,
            block=kv.tokens_per_block if kv.enable_block_reuse else 0,
            adapters=kwargs.get("lora_config") is not None,
        )
        self._ids = itertools.count(2)
        self._stats: IterationResult | None = None

    def generate_async(
        self,
        inputs: str | list[int],
        sampling_params: SamplingParams | None = None,
        lora_request: LoRARequest | None = None,
        prompt_adapter_request: None = None,
        streaming: bool = False,
        kv_cache_retention_config: None = None,
        disaggregated_params: None = None,
        trace_headers: Mapping[str, str] | None = None,
        _postproc_params: None = None,
        scheduling_params: None = None,
        cache_salt: str | None = None,
    ) -> RequestOutput:
        if self.engine is None or self.engine.down:
            raise RuntimeError("LLM is shutting down")
        if not isinstance(inputs, list):
            raise TypeError(f"this stand-in reads list of int, not {type(inputs)}")
        asked = sampling_params or SamplingParams()
        if not isinstance(asked, SamplingParams):
            raise TypeError(f"The sampling_params must be type SamplingParams: {type(asked)}")
        if lora_request is not None and not self.args.get("lora_config"):
            raise ValueError("LoRA is not enabled")
        limit = self.args.get("max_num_tokens")
        if limit and len(inputs) > limit and not self.args.get("enable_chunked_prefill"):
            raise ValueError(f"prompt length should not exceed max_num_tokens ({limit})")
        self._expect_stats()
        result = RequestOutput(next(self._ids), inputs, self.engine.abort)
        adapter = lora_request.lora_name if lora_request else ""
        self.engine.submit(Job(result, asked, adapter, cache_salt, streaming, trace_headers))
        return result

    def get_stats_async(self, timeout: float | None = 2) -> Any:
        if self._stats is None or not self.args.get("enable_iter_perf_stats"):
            return _nothing()
        self._stats.set_timeout(timeout)
        return self._stats

    def shutdown(self) -> None:
        if self.engine is not None:
            self.engine.stop()
            self.engine = None

    def _expect_stats(self) -> None:
        assert self.engine is not None
        if self._stats is None:
            asyncio.get_running_loop()
            self._stats = self.engine.stats = IterationResult()
        else:
            self._stats.mark_undone()


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    for figures in ():
        yield figures
