"""transformers alone, for tests.load.engine: one JSON line a question, in the model environment.

`generate` batches requests as they came; `manager` is transformers' continuous batching; `first`
times one prefill and one step of the bare model.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

Prompts = list[list[int]]


class Arms:
    """Greedy answers of exactly `tokens` tokens."""

    def __init__(self, model_dir: str, threads: int) -> None:
        torch.set_num_threads(threads)
        load = AutoModelForCausalLM.from_pretrained
        self._model = load(model_dir, dtype=torch.float32).eval()
        self._paged = load(model_dir, dtype=torch.float32, attn_implementation="sdpa").eval()

    @torch.inference_mode()
    def generate(self, prompts: Prompts, tokens: int, together: int) -> list[list[int]]:
        answers = []
        for begin in range(0, len(prompts), together):
            batch = prompts[begin : begin + together]
            width = max(map(len, batch))
            ids = torch.tensor([[0] * (width - len(one)) + one for one in batch])
            mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in batch])
            written = self._model.generate(
                input_ids=ids, attention_mask=mask, generation_config=_greedy(tokens)
            )
            answers += written[:, width:].tolist()
        return answers

    def manager(self, prompts: Prompts, tokens: int, together: int) -> list[list[int]]:
        """As many at a time as the others have; its own sizes are for a GPU's memory."""
        sizes = ContinuousBatchingConfig(
            page_size=32, num_blocks=512, max_batch_tokens=512, max_requests_per_batch=together
        )
        replies = self._paged.generate_batch(
            prompts,
            generation_config=_greedy(tokens),
            continuous_batching_config=sizes,
            persistent_manager=True,
        )
        by_prompt = {tuple(one.prompt_ids): one.generated_tokens for one in replies.values()}
        return [list(by_prompt[tuple(prompt)]) for prompt in prompts]

    @torch.inference_mode()
    def first(self, prompts: Prompts) -> dict[str, float]:
        """Median seconds of a prefill, and of the step after it."""
        reads, steps = [], []
        for prompt in prompts:
            begin = time.perf_counter()
            ids = torch.tensor([prompt])
            reply = self._model(input_ids=ids, use_cache=True, logits_to_keep=1)
            token = reply.logits[:, -1].argmax(-1, keepdim=True)
            middle = time.perf_counter()
            self._model(input_ids=token, past_key_values=reply.past_key_values, use_cache=True)
            reads.append(middle - begin)
            steps.append(time.perf_counter() - middle)
        return {"prefill": statistics.median(reads), "step": statistics.median(steps)}


def _greedy(tokens: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=tokens, do_sample=False, eos_token_id=0, pad_token_id=0, use_cache=True
    )


def _timed(arm: Callable[..., list[list[int]]], question: dict[str, Any]) -> dict[str, Any]:
    begin = time.perf_counter()
    answers = arm(question["prompts"], question["tokens"], question["together"])
    return {"seconds": time.perf_counter() - begin, "answers": answers}


def main(model_dir: str, threads: str) -> None:
    arms = Arms(model_dir, int(threads))
    for line in sys.stdin:
        question = json.loads(line)
        if question["arm"] == "first":
            answer: dict[str, Any] = arms.first(question["prompts"])
        else:
            answer = _timed(getattr(arms, question["arm"]), question)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
