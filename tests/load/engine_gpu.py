"""Engine `torch` on a GPU, in this process: a 1B-shaped random Llama, or any model directory.

Tokens a second at 1, 8, 32 and 128 in flight beside batched `model.generate` and transformers'
continuous-batching manager, as a share of what the card's memory bandwidth allows (each step reads
all weights and all keys and values once), and the first token of a request alone. Greedy answers of
equal length. It needs torch, transformers, pydantic and xgrammar alone:

    PYTHONPATH=infra/triton python tests/load/engine_gpu.py [--model DIR] [--flights 1,8,32,128]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gyre_models.contract.outcome import Emission
from gyre_models.contract.request import GenerationRequest, Sampling
from gyre_models.torch_engine.checkpoint import Checkpoint
from gyre_models.torch_engine.engine import TorchEngine
from gyre_models.torch_engine.settings import EngineSettings
from tokenizers import Tokenizer, decoders, models
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

Prompts = list[list[int]]
ONE_B = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = _given(options.model) if options.model else _random(options)
    model = model.to(device, torch.bfloat16).eval()
    bandwidth = _bandwidth(device)
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    size = sum(one.numel() for one in model.parameters())
    name = options.model or "random Llama"
    copies = f"copies at {bandwidth / 1e12:.2f} TB/s"
    print(f"{name}: {size / 1e6:.0f} M parameters, bf16; {card}, {copies}")
    print(f"torch {torch.__version__}; prompts {options.prompt}, answers {options.tokens} tokens")
    print("| in flight | engine tok/s | share of limit | generate | manager | engine / better |")
    print("|---|---|---|---|---|---|")
    for flight in map(int, options.flights.split(",")):
        print(_row(model, tokenizer, flight, bandwidth, options), flush=True)
    print(_alone(model, tokenizer, options), flush=True)


def _row(
    model: Any, tokenizer: Any, flight: int, bandwidth: float, options: argparse.Namespace
) -> str:
    count = max(options.rounds * flight, 8)
    prompts = _prompts(count, options.prompt, model.config.vocab_size)
    ours = Ours(model, tokenizer, flight, options)
    ours.write(prompts[:flight], flight)
    rates = {"engine": _rate(lambda: ours.write(prompts, flight), count * options.tokens)}
    if torch.cuda.is_available():
        print(ours.steps(flight, options.prompt + options.tokens // 2))
    ours.close()
    for peer in (generate, manager):
        rates[peer.__name__] = 0.0
        if peer.__name__ not in options.peers.split(","):
            continue
        some = prompts if flight > 1 else prompts[:8]
        try:
            peer(model, some[:flight], options.tokens, flight)
            work = lambda: peer(model, some, options.tokens, flight)  # noqa: B023, E731
            rates[peer.__name__] = _rate(work, len(some) * options.tokens)
        except Exception as error:  # a peer that fails is told, and the others are measured
            print(f"{peer.__name__}: {type(error).__name__}: {str(error)[:200]}")
    limit = flight * bandwidth / _bytes_of_a_step(model, flight, options)
    better = max(rates["generate"], rates["manager"])
    return (
        f"| {flight} | {rates['engine']:.0f} | {rates['engine'] / limit:.1%} "
        f"| {rates['generate']:.0f} | {rates['manager']:.0f} "
        f"| {rates['engine'] / better if better else 0:.2f} |"
    )


def _alone(model: Any, tokenizer: Any, options: argparse.Namespace) -> str:
    """First token of one request at a time beside the bare model's prefill and step."""
    prompts = _prompts(30, options.prompt, model.config.vocab_size)
    ours = Ours(model, tokenizer, 1, options)
    ours.write(prompts[:3], 1)
    firsts = [ours.ask(prompt).first for prompt in prompts]
    ours.close()
    reads, steps = zip(*(_bare(model, prompt) for prompt in prompts), strict=True)
    prefill, step = (statistics.median(times[3:]) * 1000 for times in (reads, steps))
    first = statistics.median(firsts) * 1000
    return f"first token alone {first:.2f} ms; bare prefill {prefill:.2f} ms, step {step:.2f} ms"


@torch.inference_mode()
def _bare(model: Any, prompt: list[int]) -> tuple[float, float]:
    begin = time.perf_counter()
    reply = model(torch.tensor([prompt], device=model.device), use_cache=True, logits_to_keep=1)
    token = reply.logits[:, -1].argmax(-1, keepdim=True)
    token.tolist()
    middle = time.perf_counter()
    reply = model(token, past_key_values=reply.past_key_values, use_cache=True)
    reply.logits[:, -1].argmax(-1).tolist()
    return middle - begin, time.perf_counter() - middle


@dataclass
class Listener:
    """The caller of one request."""

    begin: float = field(default_factory=time.perf_counter)
    first: float = 0.0
    tokens: list[int] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    freed: Callable[[], None] = lambda: None

    def send(self, emission: Emission) -> None:
        self.first = self.first or time.perf_counter() - self.begin
        self.tokens += emission.token_ids
        if emission.refusal is not None:
            raise SystemExit(str(emission.refusal))
        if emission.last:
            self.freed()
            self.ended.set()

    def cancelled(self) -> bool:
        return False


class Ours:
    """The engine over a model that is on the device already."""

    def __init__(
        self, model: Any, tokenizer: Any, flight: int, options: argparse.Namespace
    ) -> None:
        self._tokens = options.tokens
        length = options.prompt + options.tokens + 8
        vocabulary = model.config.vocab_size
        checkpoint = Checkpoint(
            model, tokenizer, model.device, frozenset({0}), vocabulary, length, (), True
        )
        settings = EngineSettings(
            slots=flight, max_length=length, max_waiting=4096, prefix_cache_mb=0,
            prefill_tokens_per_step=options.prefill,
        )  # fmt: skip
        self._engine = TorchEngine(checkpoint, settings)

    def write(self, prompts: Prompts, flight: int) -> list[list[int]]:
        gate = threading.Semaphore(flight)
        listeners = []
        for prompt in prompts:
            gate.acquire()
            listeners.append(self._submit(prompt, Listener(freed=gate.release)))
        for listener in listeners:
            listener.ended.wait()
        return [listener.tokens for listener in listeners]

    def ask(self, prompt: list[int]) -> Listener:
        listener = self._submit(prompt, Listener())
        listener.ended.wait()
        return listener

    def steps(self, flight: int, length: int) -> str:
        """A recorded step by itself, on the device alone."""
        forward = self._engine._loop._forward
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.inference_mode():
            forward.decode([11] * flight, [length] * flight, [""] * flight)
            ((graph, _),) = [
                recorded
                for (rows, seen), recorded in forward._graphs._recorded.items()
                if rows >= flight and seen > length
            ][:1]
            begin.record()
            for _ in range(50):
                graph.replay()
            end.record()
            end.synchronize()
        return f"{flight} rows: a recorded step takes {begin.elapsed_time(end) / 50:.2f} ms"

    def close(self) -> None:
        self._engine.close()

    def _submit(self, prompt: list[int], listener: Listener) -> Listener:
        request = GenerationRequest(
            input_ids=prompt, max_tokens=self._tokens, sampling=Sampling(temperature=0.0)
        )
        self._engine.submit(request, listener)
        return listener


@torch.inference_mode()
def generate(model: Any, prompts: Prompts, tokens: int, together: int) -> None:
    for begin in range(0, len(prompts), together):
        ids = torch.tensor(prompts[begin : begin + together], device=model.device)
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=_greedy(tokens)
        )


def manager(model: Any, prompts: Prompts, tokens: int, together: int) -> None:
    model.generate_batch(
        prompts, generation_config=_greedy(tokens), persistent_manager=True, progress_bar=False
    )


def _greedy(tokens: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, eos_token_id=0,
        pad_token_id=0, use_cache=True,
    )  # fmt: skip


def _rate(work: Callable[[], object], tokens: int) -> float:
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return tokens / (time.perf_counter() - begin)


def _bytes_of_a_step(model: Any, flight: int, options: argparse.Namespace) -> float:
    weights = sum(one.numel() for one in model.parameters()) * 2
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    of_token = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * size
    return float(weights + flight * (options.prompt + options.tokens / 2) * of_token)


def _bandwidth(device: torch.device) -> float:
    """Bytes a second read and written by large copies."""
    count = 1 << (30 if device.type == "cuda" else 26)
    source, target = (torch.ones(count, dtype=torch.uint8, device=device) for _ in range(2))
    return max(_rate(lambda: target.copy_(source), 2 * count) for _ in range(40))


def _prompts(count: int, length: int, vocabulary: int) -> Prompts:
    draw = random.Random(7)
    return [[draw.randrange(10, vocabulary) for _ in range(length)] for _ in range(count)]


def _given(directory: str) -> tuple[Any, Any]:
    path = Path(directory)
    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def _random(options: argparse.Namespace) -> tuple[Any, Any]:
    config = LlamaConfig(**{**ONE_B, **json.loads(options.shape)})
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    words = {f"w{number}": number for number in range(config.vocab_size)}
    inner = Tokenizer(models.WordLevel(words, unk_token="w0"))
    inner.decoder = decoders.Fuse()
    return model, PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="w0")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--model", help="a model directory; none: a random Llama of 1B shape")
    parser.add_argument("--shape", default="{}", help="JSON: other sizes of the random Llama")
    parser.add_argument("--flights", default="1,8,32,128", help="requests in flight")
    parser.add_argument("--peers", default="generate,manager", help="which of them")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of an answer")
    parser.add_argument("--rounds", type=int, default=3, help="requests for each place in flight")
    parser.add_argument("--prefill", type=int, default=4096, help="prompt tokens read a step")
    return parser.parse_args()


if __name__ == "__main__":
    main()
