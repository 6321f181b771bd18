"""The one door to `tensorrt_llm`: its names, imported when the engine starts, and their arguments.

Checked against NVIDIA/TensorRT-LLM: the 1.2.0 line for `LLM`, `RequestOutput`, `SamplingParams`,
`LoRARequest`, `RequestError` and `get_stats_async` (llmapi/llm.py at 4c05a748, executor/result.py
at a678b91a, executor/request.py at 4ce835a5, executor/utils.py and executor.py at 7b437aaa and
ed53795b), the API references of its tests (`api_stability/references*` at ea35fd67, e00a1866,
3ba4754d), and later sources for `trace_headers` (serve/openai_server.py) and `KvCacheConfig` (the
1.3.0rc27 documentation). It was not run: no GPU was at hand.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gyre_models.contract.answer import Answer
from gyre_models.contract.choices import choice_grammar
from gyre_models.contract.layout import ADAPTERS, adapter_names
from gyre_models.contract.request import GenerationRequest, Guide, Sampling
from gyre_models.trtllm_engine.settings import LlmArguments, SettingsError, Speculation

# Of a launcher of this process: TensorRT-LLM would take itself for one of its MPI ranks.
LAUNCHERS = ("OMPI_", "PMIX_", "PMI_")


class Vendor:
    """One `LLM` and what belongs to its requests. Blocks while the engine starts: minutes."""

    def __init__(self, weights: Path, arguments: LlmArguments) -> None:
        forget_launcher(os.environ)
        self.version: str = _module("").__version__
        self.request_error: type[Exception] = _module(".executor.utils").RequestError
        llmapi, lora_request = _module(".llmapi"), _module(".executor.request").LoRARequest
        self._sampling_params, self._guided = llmapi.SamplingParams, llmapi.GuidedDecodingParams
        self._lora = {
            name: lora_request(name, number, str(weights / ADAPTERS / name))
            for number, name in enumerate(adapter_names(weights), start=1)
        }
        self._traced = arguments.otlp_traces_endpoint is not None
        self.llm = llmapi.LLM(str(weights), **llm_arguments(weights, arguments, llmapi))

    def generate(self, answer: Answer, end_ids: frozenset[int]) -> Any:
        """Starts an answer; the `RequestOutput` is awaited in the running event loop.

        Raises `ValueError` for what the engine refuses and `RuntimeError` where it is down.
        """
        request = answer.request
        parameters = self._parameters(request, answer.max_tokens, end_ids)
        options: dict[str, Any] = {
            "sampling_params": self._sampling_params(**parameters),
            "lora_request": self._lora[request.lora_name] if request.lora_name else None,
            "streaming": True,
            "cache_salt": request.cache_salt or None,
        }
        if self._traced and request.traceparent:
            options["trace_headers"] = {"traceparent": request.traceparent}
        return self.llm.generate_async(list(answer.prompt), **options)

    def _parameters(
        self, request: GenerationRequest, max_tokens: int, end_ids: frozenset[int]
    ) -> dict[str, Any]:
        parameters = sampling(request.sampling)
        parameters |= {
            "max_tokens": max_tokens,
            # Text and stop words are ours: the same for both engines, and a streamed
            # part never shows the beginning of a stop word.
            "detokenize": False,
            "stop_token_ids": sorted(end_ids),
        }
        if request.return_log_probs:
            parameters["logprobs"] = 1
        if request.guide is not None:
            parameters["guided_decoding"] = self._guided(**guide(request.guide))
        return parameters


def sampling(asked: Sampling) -> dict[str, Any]:
    """Greedy is what it is without top_k and top_p, whatever the temperature; without a seed
    it takes the same one for everybody."""
    values: dict[str, Any] = {}
    if not asked.greedy:
        values = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k}
        values["seed"] = secrets.randbits(63) if asked.seed is None else asked.seed
        values |= {"min_p": asked.min_p} if asked.min_p else {}
    neutral = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    given = {name: getattr(asked, name) for name in neutral}
    return values | {name: value for name, value in given.items() if value != neutral[name]}


def guide(asked: Guide) -> dict[str, Any]:
    """A choice becomes a grammar, as in the other engine; raises `Refusal`."""
    if asked.kind == "json_object":
        return {"json_object": True}
    if asked.kind == "choice":
        return {"grammar": choice_grammar(asked.text)}
    return {asked.kind: asked.text}


def llm_arguments(weights: Path, arguments: LlmArguments, llmapi: Any) -> dict[str, Any]:
    """Keyword arguments of `LLM`; nested ones as its own classes where it has several."""
    values = arguments.model_dump(exclude_none=True)
    values |= {"trust_remote_code": False, "enable_iter_perf_stats": True}
    values["kv_cache_config"] = llmapi.KvCacheConfig(**values["kv_cache_config"])
    values["scheduler_config"] = llmapi.SchedulerConfig(**values["scheduler_config"])
    if (graphs := values.pop("cuda_graph_config", None)) is not None:
        graphs["max_batch_size"] = graphs["max_batch_size"] or arguments.max_batch_size
        values["cuda_graph_config"] = llmapi.CudaGraphConfig(**graphs)
    else:
        values["cuda_graph_config"] = None
    if arguments.speculative_config is not None:
        values["speculative_config"] = _speculation(weights, arguments.speculative_config, llmapi)
    values.pop("lora_config", None)
    if names := adapter_names(weights):
        values["enable_lora"] = True
        values["lora_config"] = _lora(weights, names, arguments)
    return values


def _speculation(weights: Path, asked: Speculation, llmapi: Any) -> Any:
    name = f"{asked.decoding_type}DecodingConfig"
    if (kind := getattr(llmapi, name, None)) is None:
        raise SettingsError(f"llm.speculative_config: this TensorRT-LLM has no {name}")
    values = asked.model_dump(exclude_none=True, exclude={"decoding_type"})
    for key in values.keys() & {"speculative_model", "speculative_model_dir"}:
        folder = (weights / values[key]).resolve()
        if not (folder.is_relative_to(weights.resolve()) and folder.is_dir()):
            raise SettingsError(f"llm.speculative_config.{key}: no folder {values[key]} in weights")
        values[key] = str(folder)
    return kind(**values)


def _lora(weights: Path, names: tuple[str, ...], arguments: LlmArguments) -> dict[str, Any]:
    """Ranks and modules as the adapters say; `LLM` makes its own class of it."""
    folders = [weights / ADAPTERS / name for name in names]
    ranks = [json.loads((folder / "adapter_config.json").read_text())["r"] for folder in folders]
    found = {
        "lora_dir": [str(folder) for folder in folders],
        "max_lora_rank": max(ranks),
        "max_loras": len(names),
        "max_cpu_loras": len(names),
    }
    asked = arguments.lora_config.model_dump(exclude_none=True) if arguments.lora_config else {}
    return found | asked


def _module(name: str) -> Any:
    """Imported late: the package takes a GPU, and only its own image has it."""
    try:
        return import_module(f"tensorrt_llm{name}")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"engine trtllm needs TensorRT-LLM ({error}): run it in the image of the gpu profile, "
            "or take engine torch"
        ) from error


def forget_launcher(variables: MutableMapping[str, str]) -> None:
    for name in [name for name in variables if name.startswith(LAUNCHERS)]:
        del variables[name]
