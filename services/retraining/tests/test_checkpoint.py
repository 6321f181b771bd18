# ruff: noqa: E402
"""The committed checkpoint, loaded as a server loads it."""

import hashlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is installed in the model environment only")

from gyre_retraining.recipes.reader.items import REFUSAL
from gyre_retraining.recipes.reader.prompt import guide, user_message
from transformers import AutoModelForCausalLM, AutoTokenizer

CHECKPOINT = Path(__file__).parents[3] / "infra" / "triton" / "checkpoints" / "gyre-reader"
QUESTION = "When does the library open on Saturdays?"
SENTENCES = [
    "On Saturdays the library opens at ten in the morning.",
    "Books may be kept for three weeks.",
    "A lost card costs two pounds to replace.",
]


def test_every_file_has_the_hash_that_the_manifest_names() -> None:
    lines = [line.split("  ") for line in (CHECKPOINT / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in lines} >= {"config.json", "model.safetensors", "tokenizer.json"}
    for digest, name in lines:
        assert hashlib.sha256((CHECKPOINT / name).read_bytes()).hexdigest() == digest, name


def test_the_weights_stay_under_ten_megabytes() -> None:
    assert (CHECKPOINT / "model.safetensors").stat().st_size < 10_000_000


def test_the_guided_model_cites_the_sentence_that_answers() -> None:
    assert _guided_answer(QUESTION, SENTENCES) == f"[1] {SENTENCES[0]}"


def _guided_answer(question: str, sentences: list[str]) -> str:
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    model = AutoModelForCausalLM.from_pretrained(
        CHECKPOINT, use_safetensors=True, dtype=torch.float32
    )
    messages = [{"role": "user", "content": user_message(question, sentences)}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
    allowed = [
        [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
        for answer in guide(sentences)
    ]

    def next_tokens(_: int, so_far: torch.Tensor) -> list[int]:
        told = so_far[ids.shape[1] :].tolist()
        return [a[len(told)] for a in allowed if a[: len(told)] == told and len(told) < len(a)]

    out = model.generate(
        ids, max_new_tokens=64, do_sample=False, prefix_allowed_tokens_fn=next_tokens
    )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def test_the_refusal_is_one_of_the_answers_that_a_guide_allows() -> None:
    assert guide(SENTENCES)[-1] == REFUSAL
