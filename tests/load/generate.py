"""What Generate adds to the raw stream of the model server, with durable recording on.

    python -m tests.load.generate [--requests 200] [--tokens 16] [--concurrency 1 32]

Starts a NATS server, a tritonserver with a tiny random model and the service as its own process,
each on free ports, and asks both in turn in one run: raw, through the service, raw, ...
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from gyre.inference.v1 import answer_pb2, service_pb2, service_pb2_grpc
from gyre_inference.adapters.triton_tensors import infer_request
from gyre_inference.domain.generation import Message, ModelRequest, Parameters
from gyre_local.nats import NatsServer, NatsSettings
from gyre_local.ports import free_port
from gyre_local.triton import TritonServer, TritonSettings
from tritonclient.grpc import service_pb2_grpc as triton_grpc

from tests.load.report import Report, parser, progress

ROOT = Path(__file__).parents[2]
MODELS = ROOT / ".venv-models"
MODEL = "gyre-tiny"
TEXT = "The router shows a green light when it is connected."
KEY = (("authorization", "Bearer gyre-dev-key"),)


@dataclass(frozen=True)
class Times:
    """Seconds from the request to the first text, the last text, and the end of the stream."""

    first: float
    text: float
    done: float


class Watch:
    """Notes the times of one request."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._texts: list[float] = []

    def text(self) -> None:
        self._texts.append(time.perf_counter() - self._begin)

    def done(self) -> Times:
        return Times(self._texts[0], self._texts[-1], time.perf_counter() - self._begin)


Ask = Callable[[], Awaitable[Times]]


def main() -> None:
    options = _options()
    report = Report("generate")
    with TemporaryDirectory() as folder:
        state = Path(folder)
        with triton(state) as server, service(state, server.address) as address:
            asyncio.run(measure(server.address, address, options, report))
    report.save()


async def measure(
    triton_address: str, address: str, options: argparse.Namespace, report: Report
) -> None:
    async with (
        grpc.aio.insecure_channel(triton_address) as below,
        grpc.aio.insecure_channel(address) as door,
    ):
        raw = raw_stream(triton_grpc.GRPCInferenceServiceStub(below), options.tokens)
        ours = through(service_pb2_grpc.InferenceServiceStub(door), options.tokens)
        for _ in range(20):
            await raw()
            await ours()
        await one_by_one(raw, ours, options.requests, report)
        for concurrency in options.concurrency:
            await together(raw, ours, concurrency, options.requests, report)


async def one_by_one(raw: Ask, ours: Ask, count: int, report: Report) -> None:
    """Pairs, so that a noisy moment meets both; each goes first in half of them."""
    pairs: list[tuple[Times, Times]] = []
    for number in range(count):
        if number % 2:
            whole, below = await ours(), await raw()
        else:
            below, whole = await raw(), await ours()
        pairs.append((below, whole))
        progress("pairs", number + 1, count)
    for percent in (50, 99):
        peer = _ms([below.done for below, _ in pairs], percent)
        what = f"Generate until it is recorded, p{percent}; raw Triton stream"
        report.add(what, _ms([whole.done for _, whole in pairs], percent), "ms", peer=peer)
    added = "added by Generate, p50 of the pairs' differences"
    first = _ms([whole.first - below.first for below, whole in pairs], 50)
    report.add(f"{added}: until the first text", first, "ms")
    text = _ms([whole.text - below.text for below, whole in pairs], 50)
    report.add(f"{added}: until the last text", text, "ms")
    done = _ms([whole.done - below.done for below, whole in pairs], 50)
    report.at_most(f"{added}: until it is recorded durably", done, "ms", 1.5)


async def together(raw: Ask, ours: Ask, concurrency: int, count: int, report: Report) -> None:
    rates: dict[str, float] = {}
    for name, ask in (("raw", raw), ("service", ours)):
        begin = time.perf_counter()
        gate = asyncio.Semaphore(concurrency)
        await asyncio.gather(*(_gated(ask, gate) for _ in range(count)))
        rates[name] = count / (time.perf_counter() - begin)
    what = f"Generate, {concurrency} at a time; raw Triton stream"
    report.add(what, rates["service"], "requests/s", peer=rates["raw"])


async def _gated(ask: Ask, gate: asyncio.Semaphore) -> None:
    async with gate:
        await ask()


def raw_stream(stub: triton_grpc.GRPCInferenceServiceStub, tokens: int) -> Ask:
    """Straight from Triton."""
    parameters = Parameters(max_tokens=tokens, temperature=0)
    message = (Message("user", TEXT),)
    request = infer_request(ModelRequest(MODEL, message, parameters, "demo", "raw"))

    async def ask() -> Times:
        watch = Watch()
        call = stub.ModelStreamInfer(iter([request]))
        async for reply in call:
            if reply.error_message:
                raise SystemExit(reply.error_message)
            if reply.infer_response.outputs:
                watch.text()
        return watch.done()

    return ask


def through(stub: service_pb2_grpc.InferenceServiceStub, tokens: int) -> Ask:
    """Through the service; when the last message comes, the record is durable."""
    request = service_pb2.GenerateRequest(
        messages=[answer_pb2.ChatMessage(role="user", content=TEXT)],
        parameters=answer_pb2.GenerationParameters(max_tokens=tokens, temperature=0),
    )

    async def ask() -> Times:
        watch = Watch()
        async for reply in stub.Generate(request, timeout=60, metadata=KEY):
            if reply.WhichOneof("event") == "text_delta":
                watch.text()
        return watch.done()

    return ask


@contextmanager
def triton(state: Path) -> Iterator[TritonServer]:
    server = TritonServer(TritonSettings(MODELS, state / "triton"))
    models = [MODELS / "bin" / "python", "-m", "gyre_models"]
    where = ["--model-dir", state / "model", "--repository", server.repository]
    subprocess.run([*models, "tiny", state / "model"], check=True)
    engine = ["--engine", "torch", "--name", MODEL, "--set", "max_waiting=512"]
    subprocess.run([*models, "materialise", *engine, *where], check=True)
    with server:
        server.control().load(MODEL)
        yield server


@contextmanager
def service(state: Path, triton_address: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    with NatsServer(NatsSettings(state / "nats")) as nats:
        environment = {
            "GYRE_NATS_URL": nats.url,
            "GYRE_GRPC_ADDRESS": address,
            "GYRE_METRICS_PORT": "0",
            "GYRE_TRITON_ADDRESS": triton_address,
            "GYRE_LANGUAGE_MODEL": MODEL,
            "GYRE_GRPC_TENANT_RATE": "0",
            "GYRE_DATABASE_URL": f"sqlite+aiosqlite:///{state}/inference.db",
        }
        subprocess.run(
            [sys.executable, "-m", "gyre_provisioner", "bus"],
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        log = (state / "service.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "gyre_inference"],
            env={**os.environ, **environment},
            stderr=log,
        )
        try:
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=180)
            yield address
        except (grpc.FutureTimeoutError, grpc.aio.AioRpcError):
            raise SystemExit((state / "service.log").read_text()[-4000:]) from None
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def _ms(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000


def _options() -> argparse.Namespace:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--requests", type=int, default=200)
    arguments.add_argument("--tokens", type=int, default=16)
    arguments.add_argument("--concurrency", type=int, nargs="*", default=[32])
    return arguments.parse_args()


if __name__ == "__main__":
    main()
