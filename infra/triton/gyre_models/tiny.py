"""A tiny random model with a real tokenizer and chat template: for tests, not for answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from gyre_models.manifest import write_manifest

ARCHITECTURES = ("llama", "qwen2", "gpt2")
LINES = (
    "The router shows a green light when it is connected.",
    "Roaming in the European Union costs the same as at home.",
    "Grüße aus München: die Rechnung kommt am ersten Tag des Monats.",
    "You may cancel a tariff within 14 days; the fee is 9.99 EUR.",
)
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
POSITIONS = 512
SPREAD = 0.25


def make_model(directory: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """Writes config, safetensors and tokenizer; the same seed gives the same model."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    _model(architecture, len(tokenizer)).eval().save_pretrained(directory)
    return directory


def make_encoder(directory: Path, seed: int = 0) -> Path:
    """Writes a sealed sentence encoder, as the model store keeps one that was trained."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
    )
    BertModel(config, add_pooling_layer=False).eval().save_pretrained(directory)
    facts = {
        "sentence_bert_config.json": {"max_seq_length": 128},
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
    }
    for name, content in facts.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(json.dumps(content))
    write_manifest(directory)
    return directory


def add_adapter(directory: Path, name: str, seed: int) -> None:
    """A random LoRA adapter beside the model of `make_model` (llama or qwen2)."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=4, lora_alpha=32, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    get_peft_model(model, config).save_pretrained(directory / "adapters" / name)


def _tokenizer() -> Any:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    )


def _model(architecture: str, vocabulary: int) -> Any:
    """Weights far from zero, so that the best token leads clearly and answers vary."""
    ends = {"bos_token_id": 0, "eos_token_id": 1, "vocab_size": vocabulary}
    if architecture == "gpt2":
        small = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}
        untied = {"tie_word_embeddings": False, "initializer_range": SPREAD}
        return GPT2LMHeadModel(GPT2Config(**small, **untied, **ends))
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS,
        "initializer_range": SPREAD,
        **ends,
    }
    if architecture == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**sizes))
    return LlamaForCausalLM(LlamaConfig(**sizes))
