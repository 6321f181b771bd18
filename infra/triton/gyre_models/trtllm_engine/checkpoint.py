"""What the engine's front needs of a model directory: its tokenizer and its limits, no weights."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from gyre_models.contract.checkpoint import end_ids, own_limit
from gyre_models.contract.layout import adapter_names, check_files
from gyre_models.contract.prompts import Prompts
from gyre_models.manifest import check_manifest
from gyre_models.trtllm_engine.settings import EngineSettings


def read(directory: Path, settings: EngineSettings) -> tuple[Prompts, frozenset[int]]:
    """Prompts, and the tokens that end an answer. Raises `LayoutError` or `ManifestError`."""
    check_files(directory)
    check_manifest(directory)
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    )
    sources = [config, tokenizer]
    if (directory / "generation_config.json").is_file():
        sources.append(GenerationConfig.from_pretrained(directory, local_files_only=True))
    text = config.get_text_config()
    limit = own_limit(text)
    prompts = Prompts(
        tokenizer,
        text.vocab_size,
        min(settings.llm.max_seq_len or limit, limit),
        adapter_names(directory),
        settings.default_max_tokens,
    )
    return prompts, end_ids(sources)
