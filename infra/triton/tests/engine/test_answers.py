"""Answers of the loop, beside what the model's own `generate` gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from client import answer, ask
from conftest import Start
from gyre_models.contract.outcome import FinishReason
from gyre_models.contract.request import Sampling
from gyre_models.tiny import add_adapter, make_model
from gyre_models.torch_engine.checkpoint import Checkpoint, load
from gyre_models.torch_engine.settings import EngineSettings

PROMPTS = (
    "The router",
    "Roaming in the European Union costs",
    "Grüße aus München 😀",
    "fee " * 40,
    "You may cancel",
    "a",
    "tariff within 14 days; " * 9,
)
WARM = Sampling(temperature=0.9, seed=11)


def greedy(checkpoint: Checkpoint, prompt: str, count: int, **options: object) -> list[int]:
    """What `generate` writes, without the token that ends it."""
    ids = torch.tensor([checkpoint.tokenizer(prompt)["input_ids"]])
    with torch.inference_mode():
        written = checkpoint.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
    tokens: list[int] = written[0, ids.shape[1] :].tolist()
    return [token for token in tokens if token not in checkpoint.end_ids]


def test_greedy_answers_equal_generate_alone_and_among_others(
    model_dir: Path, start: Start
) -> None:
    checkpoint = load(model_dir, EngineSettings())
    expected = [greedy(checkpoint, prompt, 48) for prompt in PROMPTS]
    engine = start(checkpoint, slots=4, prefix_cache_mb=0)
    for prompt, tokens in zip(PROMPTS, expected, strict=True):
        assert answer(engine, text=prompt, max_tokens=48).tokens == tokens
    together = [ask(engine, text=prompt, max_tokens=48) for prompt in PROMPTS * 2]
    assert [client.wait().tokens for client in together] == expected * 2
    assert len({token for tokens in expected for token in tokens}) > 20, "the answers must vary"


def test_long_prompts_read_in_chunks_give_the_same_answer(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=3, prefill_tokens_per_step=16, prefix_cache_mb=0)
    clients = [ask(engine, text=prompt, max_tokens=24) for prompt in PROMPTS]
    expected = [greedy(llama, prompt, 24) for prompt in PROMPTS]
    assert [client.wait().tokens for client in clients] == expected


def test_a_known_start_of_a_prompt_is_not_computed_again(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, prefix_block=8)
    system = "You may cancel a tariff within 14 days; the fee is 9.99 EUR. " * 3
    first = answer(engine, text=system + "router", max_tokens=16, cache_salt="acme")
    again = answer(engine, text=system + "roaming", max_tokens=16, cache_salt="acme")
    assert first.outcome.cached_tokens == 0
    assert again.outcome.cached_tokens >= 8
    assert again.tokens == greedy(llama, system + "roaming", 16)


def test_tenants_share_no_prompt_starts(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, prefix_block=8)
    prompt = "The router shows a green light when it is connected. " * 3
    answer(engine, text=prompt, max_tokens=4, cache_salt="acme")
    assert answer(engine, text=prompt, max_tokens=4, cache_salt="globex").outcome.cached_tokens == 0
    assert answer(engine, text=prompt, max_tokens=4, cache_salt="acme").outcome.cached_tokens > 0


@pytest.mark.parametrize(
    "sampling",
    [
        WARM,
        Sampling(temperature=0.7, top_p=0.8, seed=3),
        Sampling(temperature=1.2, top_k=20, top_p=0.9, min_p=0.02, seed=4),
        Sampling(temperature=1.0, top_k=200, frequency_penalty=0.4, seed=5),
    ],
)
def test_a_seed_gives_the_same_text_whatever_else_is_in_the_batch(
    llama: Checkpoint, start: Start, sampling: Sampling
) -> None:
    engine = start(llama, slots=4, prefix_cache_mb=0)
    alone = answer(engine, text="The router", max_tokens=40, sampling=sampling)
    others = [
        ask(engine, text=prompt, max_tokens=30, sampling=Sampling(temperature=1.5, top_k=5))
        for prompt in PROMPTS
    ]
    among = ask(engine, text="The router", max_tokens=40, sampling=sampling).wait()
    assert among.tokens == alone.tokens
    assert all(client.wait().outcome for client in others)


def test_different_seeds_give_different_texts(llama: Checkpoint, start: Start) -> None:
    engine = start(llama)
    texts = {
        answer(
            engine, text="The", max_tokens=20, sampling=Sampling(temperature=1.0, seed=seed)
        ).text
        for seed in range(4)
    }
    assert len(texts) == 4


def test_repetition_penalty_equals_that_of_generate(llama: Checkpoint, start: Start) -> None:
    expected = greedy(llama, PROMPTS[3], 40, repetition_penalty=1.4)
    penalised = answer(
        start(llama), text=PROMPTS[3], max_tokens=40, sampling=Sampling(repetition_penalty=1.4)
    )
    assert penalised.tokens == expected
    assert expected != greedy(llama, PROMPTS[3], 40)


def test_log_probabilities_are_those_of_the_models_own_distribution(
    llama: Checkpoint, start: Start
) -> None:
    client = answer(start(llama), text="The router", max_tokens=12, return_log_probs=True)
    prompt = llama.tokenizer("The router")["input_ids"]
    with torch.inference_mode():
        logits = llama.model(torch.tensor([[*prompt, *client.tokens]])).logits[0]
    scores = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    expected = scores[torch.arange(len(client.tokens)), client.tokens]
    assert client.outcome.log_probs == pytest.approx(expected.tolist(), abs=1e-4)


def test_adapters_in_one_batch_equal_each_adapter_alone(tmp_path: Path, start: Start) -> None:
    folder = make_model(tmp_path / "model", "llama")
    add_adapter(folder, "legal", 1)
    add_adapter(folder, "sales", 2)
    checkpoint = load(folder, EngineSettings())
    engine = start(checkpoint, slots=6)
    expected = {}
    for name in ("legal", "sales"):
        checkpoint.model.set_adapter(name)
        expected[name] = greedy(checkpoint, "The router", 24)
    with checkpoint.model.disable_adapter():
        expected[""] = greedy(checkpoint, "The router", 24)
    assert len(set(map(tuple, expected.values()))) == 3
    together = [
        (name, ask(engine, text="The router", max_tokens=24, lora_name=name))
        for name in [*expected, *expected]
    ]
    assert all(client.wait().tokens == expected[name] for name, client in together)


def test_text_is_what_a_full_decode_gives_and_no_part_splits_a_character(
    llama: Checkpoint, start: Start
) -> None:
    engine = start(llama)
    for seed in range(6):
        hot = Sampling(temperature=3.0, seed=seed)
        client = answer(engine, text="Grüße 😀", max_tokens=60, sampling=hot)
        assert client.text == llama.tokenizer.decode(client.tokens, skip_special_tokens=True)


def test_counts_and_times_add_up(llama: Checkpoint, start: Start) -> None:
    client = answer(start(llama), text="The router", max_tokens=10)
    outcome = client.outcome
    assert outcome.finish_reason is FinishReason.LENGTH
    assert outcome.output_tokens == len(client.tokens) == 10
    assert outcome.input_tokens == len(llama.tokenizer("The router")["input_ids"])
    assert 0 <= outcome.queue_ns <= outcome.first_token_ns <= outcome.total_ns


def test_without_streaming_there_is_one_part(llama: Checkpoint, start: Start) -> None:
    client = answer(start(llama), text="The router", max_tokens=10, stream=False)
    assert len(client.parts) == 1
    assert client.tokens == greedy(llama, "The router", 10)
