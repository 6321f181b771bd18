"""Engine `torch` through Triton against transformers alone: the same model, the same requests.

Tokens a second with 32 requests in flight beside batched `model.generate` and transformers'
continuous-batching manager, in turn, in one run; then the first token of a request alone beside
one prefill and one step of the bare model. All on as many threads; greedy answers of equal length.

    python -m tests.load.engine [--requests 64] [--tokens 64] [--together 32] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from gyre_local.settings import LocalSettings
from tritonclient.grpc import service_pb2_grpc

from infra.triton.smoke.server import ENVIRONMENT, Served, Wanted, served
from infra.triton.smoke.wire import WireClient, tensors_of
from tests.load.peers import Peer
from tests.load.report import Report, parser, progress

PEERS = ("generate", "manager")
ALONE = 60
Prompts = list[list[int]]


@dataclass(frozen=True)
class Answer:
    """Tokens, and the seconds until the first of them."""

    tokens: list[int]
    first: float


def main() -> None:
    options = _options()
    report = Report("engine")
    with TemporaryDirectory() as folder:
        state = Path(folder)
        model = endless(LocalSettings().model_dir, state / "model")
        settings = (f"threads={options.threads}", "max_waiting=512", "prefix_cache_mb=0")
        python = ENVIRONMENT / "bin" / "python"
        program = Path(__file__).with_name("engine_peers.py")
        with (
            served(Wanted("torch", model, options=settings), state) as server,
            Peer(program, str(model), str(options.threads), python=python) as peer,
        ):
            asyncio.run(measure(server, peer, options, report))
    report.save()


async def measure(server: Served, peer: Peer, options: argparse.Namespace, report: Report) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        ours = Ours(channel, server)
        prompts = prompts_of(options.requests)
        await together(ours, peer, prompts, options, report)
        await alone(ours, peer, report)


async def together(
    ours: Ours, peer: Peer, prompts: Prompts, options: argparse.Namespace, report: Report
) -> None:
    """In turn, so that a noisy moment meets all of them."""
    question = {"prompts": prompts, "tokens": options.tokens, "together": options.together}
    rates: dict[str, list[float]] = {name: [] for name in ("engine", *PEERS)}
    written = len(prompts) * options.tokens
    await ours.write(prompts[:8], options.tokens, options.together)
    for name in PEERS:
        peer.ask({"arm": name, **question, "prompts": prompts[:8]})
    for number in range(options.rounds):
        begin = time.perf_counter()
        answers = await ours.write(prompts, options.tokens, options.together)
        rates["engine"].append(written / (time.perf_counter() - begin))
        for name in PEERS:
            reply = peer.ask({"arm": name, **question})
            rates[name].append(written / reply["seconds"])
            pair = f"{rates['engine'][-1]:.0f} against {name} {rates[name][-1]:.0f} tokens/s"
            alike = _alike(answers, reply["answers"])
            report.notes.append(f"round {number + 1}: {pair}, {alike}")
        progress("rounds", number + 1, options.rounds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    what = f"engine torch through Triton, {options.together} in flight"
    for name in PEERS:
        report.add(f"{what}; {name}", medians["engine"], "tokens/s", peer=medians[name])
    better = max(PEERS, key=lambda name: medians[name])
    report.at_least(
        f"{what}; the better, {better}",
        medians["engine"],
        "tokens/s",
        times=1.2,
        peer=medians[better],
    )


async def alone(ours: Ours, peer: Peer, report: Report) -> None:
    """The first token of one request at a time, against the bare model's own work and 3 ms."""
    prompts = prompts_of(ALONE)
    firsts: list[float] = []
    bare: list[dict[str, Any]] = []
    for begin in range(0, ALONE, 10):
        some = prompts[begin : begin + 10]
        firsts += [(await ours.ask(prompt, 4)).first for prompt in some]
        bare.append(peer.ask({"arm": "first", "prompts": some}))
    prefill = statistics.median(one["prefill"] for one in bare) * 1000
    step = statistics.median(one["step"] for one in bare) * 1000
    report.notes.append(f"bare model: prefill {prefill:.2f} ms, step {step:.2f} ms")
    first = statistics.median(firsts) * 1000
    report.at_most("first token of a request alone, p50", first, "ms", prefill + step + 3)


class Ours:
    """Requests to the engine over one channel."""

    def __init__(self, channel: grpc.aio.Channel, server: Served) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._wire = WireClient(server.address, server.model)

    async def write(self, prompts: Prompts, tokens: int, together: int) -> list[list[int]]:
        """All answers, at most so many in flight."""
        gate = asyncio.Semaphore(together)

        async def one(prompt: list[int]) -> list[int]:
            async with gate:
                return (await self.ask(prompt, tokens)).tokens

        return list(await asyncio.gather(*map(one, prompts)))

    async def ask(self, prompt: list[int], tokens: int) -> Answer:
        request = self._wire.request(input_ids=prompt, max_tokens=tokens)
        begin, first, written = time.perf_counter(), 0.0, list[int]()
        call = self._stub.ModelStreamInfer(iter([request]))
        async for reply in call:
            if reply.error_message:
                raise SystemExit(reply.error_message)
            first = first or time.perf_counter() - begin
            response = reply.infer_response
            if response.outputs:
                written += tensors_of(response)["token_ids"]
        return Answer(written, first)


def endless(source: Path, target: Path) -> Path:
    """A copy of the model whose answers never end by themselves: equal work for everybody."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("SHA256SUMS", "README.md"))
    for name in ("config.json", "generation_config.json"):
        values = json.loads((target / name).read_text())
        (target / name).write_text(json.dumps(values | {"eos_token_id": values["pad_token_id"]}))
    tokenizer = json.loads((target / "tokenizer_config.json").read_text())
    tokenizer["eos_token"] = tokenizer["pad_token"]
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return target


def prompts_of(count: int) -> Prompts:
    """Random tokens, 24 to 96 of them, the same at every run."""
    draw = random.Random(7)
    return [
        [draw.randrange(300, 12_000) for _ in range(draw.randrange(24, 97))] for _ in range(count)
    ]


def _alike(ours: list[list[int]], theirs: list[list[int]]) -> str:
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return f"the same tokens in {same} of {len(ours)} answers"


def _options() -> argparse.Namespace:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--requests", type=int, default=64)
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--together", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=1)
    return arguments.parse_args()


if __name__ == "__main__":
    main()
