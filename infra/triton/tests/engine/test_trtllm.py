"""What engine `trtllm` alone has: its arguments, its health, its figures, its traces."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorrt_llm
import yaml
from client import ENDLESS, answer, ask
from conftest import Start
from gyre_models.contract.layout import ADAPTERS
from gyre_models.contract.refusal import Prefix
from gyre_models.contract.request import Guide, Sampling
from gyre_models.materialise import MaterialiseError, materialise
from gyre_models.tiny import add_adapter, make_model
from gyre_models.torch_engine.checkpoint import Checkpoint
from gyre_models.trtllm_engine.engine import TrtllmEngine
from gyre_models.trtllm_engine.settings import (
    EngineSettings,
    LlmArguments,
    SettingsError,
    checked,
    read_settings,
)
from gyre_models.trtllm_engine.vendor import Vendor, forget_launcher, llm_arguments, sampling
from tensorrt_llm import llmapi
from tensorrt_llm.executor.utils import CppExecutorError


def standin_of(engine: Any) -> Any:
    """The engine behind the engine."""
    return engine._desk._vendor.llm.engine


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"llm": {"tensor_paralel_size": 2}}, "llm.tensor_paralel_size: no such setting"),
        ({"llm": {"kv_cache_config": {"fraction": 1}}}, "llm.kv_cache_config.fraction: no such"),
        ({"llm": {"kv_cache_config": {"free_gpu_memory_fraction": 2}}}, "less than or equal to"),
        ({"slots": 4}, "slots: no such setting"),
        ({"llm": {"dtype": "int3"}}, "llm.dtype: Input should be"),
        ({"llm": {"max_batch_size": 0}, "max_waiting": 0}, "max_waiting: Input should be greater"),
    ],
)
def test_a_setting_that_is_unknown_or_wrong_is_named_before_anything_starts(
    tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=r"setting|Input") as refused:
        checked(values)
    assert said in str(refused.value)
    file = tmp_path / "engine.yaml"
    file.write_text("llm: [")
    with pytest.raises(SettingsError, match=r"engine\.yaml is not YAML"):
        read_settings(file)


def test_the_page_about_gpus_shows_settings_that_are_accepted() -> None:
    page = (Path(__file__).parents[4] / "docs" / "gpu.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert checked(yaml.safe_load(block))
        for line in re.findall(r"^  # (speculative_config: .*)$", block, re.MULTILINE):
            assert checked({"llm": yaml.safe_load(line)}).llm.speculative_config


def test_a_materialised_model_holds_its_engine_arguments_as_yaml(
    llama_dir: Path, tmp_path: Path
) -> None:
    settings = {"llm": {"tensor_parallel_size": 2, "kv_cache_config": {"dtype": "fp8"}}}
    folder = materialise("trtllm", llama_dir, "llm-1", tmp_path / "repository", settings)
    read = read_settings(folder / "1" / "engine.yaml")
    assert read == checked(settings)
    assert read.llm.kv_cache_config.dtype == "fp8"
    assert "trtllm_engine.model" in (folder / "1" / "model.py").read_text()
    assert "KIND_MODEL" in (folder / "config.pbtxt").read_text()
    with pytest.raises(MaterialiseError, match="no such setting"):
        materialise("trtllm", llama_dir, "llm-2", tmp_path / "repository", {"slots": 2})


def test_the_engine_is_made_with_its_own_classes_and_never_with_code_of_the_model(
    llama_dir: Path,
) -> None:
    asked = LlmArguments(speculative_config={"decoding_type": "NGram", "max_draft_len": 4})  # type: ignore[arg-type]
    made = llm_arguments(llama_dir, asked, llmapi)
    assert made["trust_remote_code"] is False
    assert made["enable_iter_perf_stats"] is True
    assert isinstance(made["kv_cache_config"], llmapi.KvCacheConfig)
    assert made["cuda_graph_config"].max_batch_size == asked.max_batch_size
    assert made["speculative_config"] == llmapi.NGramDecodingConfig(max_draft_len=4)
    assert "lora_config" not in made
    assert made.keys() - llmapi.ARGUMENTS <= set(inspect.signature(llmapi.LLM).parameters)


def test_a_draft_model_lies_in_the_models_own_folder(tmp_path: Path) -> None:
    weights = make_model(tmp_path / "model", "llama")
    eagle = {"decoding_type": "Eagle", "speculative_model_dir": "draft", "max_draft_len": 3}
    asked = checked({"llm": {"speculative_config": eagle}}).llm
    with pytest.raises(SettingsError, match="no folder draft in weights"):
        llm_arguments(weights, asked, llmapi)
    make_model(weights / "draft", "llama")
    made = llm_arguments(weights, asked, llmapi)["speculative_config"]
    assert made.speculative_model_dir == str((weights / "draft").resolve())
    folder = materialise("trtllm", weights, "llm-1", tmp_path / "repository")
    assert (folder / "1" / "weights" / "draft" / "model.safetensors").is_file()


def test_adapters_bring_their_own_rank(tmp_path: Path) -> None:
    weights = make_model(tmp_path / "model", "llama")
    add_adapter(weights, "legal", 1)
    made = llm_arguments(weights, LlmArguments(), llmapi)
    assert made["enable_lora"] is True
    assert made["lora_config"]["max_lora_rank"] == 4
    assert made["lora_config"]["lora_dir"] == [str(weights / ADAPTERS / "legal")]


def test_greedy_and_sampled_requests_differ_as_the_engine_tells_them_apart() -> None:
    assert llmapi.SamplingParams(**sampling(Sampling()))._greedy_decoding
    assert llmapi.SamplingParams(**sampling(Sampling(temperature=0.7, top_k=1)))._greedy_decoding
    warm = [sampling(Sampling(temperature=0.7)) for _ in range(2)]
    assert not llmapi.SamplingParams(**warm[0])._greedy_decoding
    assert warm[0]["seed"] != warm[1]["seed"]


def test_a_launchers_variables_are_forgotten() -> None:
    variables = {"OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0", "PMI_SIZE": "1", "PATH": "/bin"}
    forget_launcher(variables)
    assert variables == {"PATH": "/bin"}


def test_without_tensorrt_llm_the_engine_says_what_to_do(
    llama_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("tensorrt_llm")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match="take engine torch"):
        Vendor(llama_dir, LlmArguments())


def test_a_request_goes_by_keyword_with_salt_adapter_and_limits(
    llama: Checkpoint, start_trtllm: Start
) -> None:
    engine = start_trtllm(llama)
    answer(engine, text="The router", max_tokens=3, cache_salt="acme")
    (job,) = standin_of(engine).jobs
    assert (job.streaming, job.salt, job.adapter) == (True, "acme", "")
    assert job.params.max_tokens == 3
    assert job.params.detokenize is False
    assert job.trace_headers is None


def test_the_engines_own_spans_continue_the_callers_trace_where_they_are_wanted(
    llama: Checkpoint, start_trtllm: Start
) -> None:
    engine = start_trtllm(llama, llm={"otlp_traces_endpoint": "http://collector:4317"})
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer(engine, text="The router", max_tokens=2, traceparent=parent)
    assert standin_of(engine).jobs[0].trace_headers == {"traceparent": parent}


def test_figures_come_from_the_engines_own_steps(
    llama: Checkpoint, start_trtllm: Start, slow: Callable[[float], None]
) -> None:
    slow(0.02)
    engine = start_trtllm(llama, slots=2)
    clients = [ask(engine, text="The router", max_tokens=400, guide=ENDLESS) for _ in range(3)]
    for client in clients[:2]:
        client.next()
    assert eventually(lambda: engine.levels().cache_use == 1.0)
    levels = engine.levels()
    assert (levels.running, levels.waiting, levels.up) == (2, 1, True)
    for client in clients:
        client.gone = True
        client.wait()
    assert eventually(lambda: engine.levels().running == 0)


def test_figures_that_cannot_be_read_stop_no_answer(
    llama: Checkpoint, start_trtllm: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def broken(self: object, timeout: float = 2) -> None:
        asked.append(timeout)
        raise RuntimeError("no figures")

    monkeypatch.setattr(llmapi.LLM, "get_stats_async", broken)
    engine = start_trtllm(llama)
    assert eventually(lambda: bool(asked))
    assert answer(engine, text="The router", max_tokens=5).tokens
    assert engine.levels().up is True


class Deaf:
    """Figures that come with the first cancellation, which is swallowed."""

    def __init__(self) -> None:
        self._waits = iter((contextlib.suppress(asyncio.CancelledError),))

    def __aiter__(self) -> Deaf:
        return self

    async def __anext__(self) -> dict[str, Any]:
        with next(self._waits, contextlib.nullcontext()):
            await asyncio.sleep(3600)
        return {}


def test_a_swallowed_cancellation_does_not_keep_an_engine_from_its_end(
    llama: Checkpoint, start_trtllm: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = Deaf()
    monkeypatch.setattr(llmapi.LLM, "get_stats_async", lambda *_, **__: figures)
    engine = start_trtllm(llama)
    assert answer(engine, text="The router", max_tokens=5).tokens
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()


def test_a_failed_engine_refuses_everybody_at_once_and_says_so(
    llama: Checkpoint, start_trtllm: Start, slow: Callable[[float], None]
) -> None:
    slow(0.02)
    engine = start_trtllm(llama, slots=1)
    clients = [ask(engine, text="The router", max_tokens=400, guide=ENDLESS) for _ in range(2)]
    clients[0].next()
    standin_of(engine).fail(CppExecutorError("CUDA error: device-side assert"))
    for client in clients:
        assert "the engine is dead" in str(client.wait().refusal)
    later = ask(engine, text="The router").wait().refusal
    assert later.prefix is Prefix.INTERNAL
    assert "device-side assert" in str(later)
    assert engine.levels().up is False


def test_an_engine_that_owes_answers_and_is_silent_is_dead(
    llama: Checkpoint, start_trtllm: Start
) -> None:
    engine = start_trtllm(llama, silence_s=2.0)
    client = ask(engine, text="The router", max_tokens=400, guide=ENDLESS)
    client.next()
    standin_of(engine).frozen = True
    assert "was silent for" in str(client.wait().refusal)
    assert engine.levels().up is False


def test_an_idle_engine_is_not_taken_for_dead(llama: Checkpoint, start_trtllm: Start) -> None:
    engine = start_trtllm(llama, silence_s=2.0)
    time.sleep(2.5)
    assert answer(engine, text="The router", max_tokens=3).tokens
    assert engine.levels().up is True


def test_a_broken_guide_costs_its_own_request_only(llama: Checkpoint, start_trtllm: Start) -> None:
    engine = start_trtllm(llama, slots=2)
    good = ask(engine, text="The router", max_tokens=60)
    bad = ask(engine, text="x", guide=Guide("regex", "(["))
    assert bad.wait().refusal.prefix is Prefix.INVALID
    assert good.wait().outcome.output_tokens
    assert engine.levels().up is True


def test_the_standin_refuses_what_the_real_one_refuses(llama_dir: Path) -> None:
    with pytest.raises(ValueError, match="invalid argument: slots"):
        tensorrt_llm.LLM(str(llama_dir), slots=3)
    with pytest.raises(TypeError):
        tensorrt_llm.SamplingParams(3)
    with pytest.raises(ValueError, match="Only one guide"):
        tensorrt_llm.SamplingParams(
            guided_decoding=llmapi.GuidedDecodingParams(regex="a", json_object=True)
        )


def test_changed_weights_are_refused_before_the_engine_starts(
    llama_dir: Path, tmp_path: Path
) -> None:
    folder = materialise("trtllm", llama_dir, "llm-1", tmp_path / "repository")
    weights = folder / "1" / "weights"
    (weights / "strange.json").write_text("{}")
    with pytest.raises(ValueError, match=r"strange\.json"):
        TrtllmEngine.open(weights, EngineSettings())


def eventually(holds: Callable[[], bool], seconds: float = 150.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False
