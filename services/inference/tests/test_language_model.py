"""The promise of `LanguageModel`, kept by the memory twin and by a model on the real Triton."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from gyre_inference.adapters.memory import MemoryLanguageModel
from gyre_inference.adapters.triton import TritonLanguageModel, Watchdogs, triton_at
from gyre_inference.adapters.triton_telemetry import Operation
from gyre_inference.adapters.triton_tensors import infer_request
from gyre_inference.domain.faults import (
    DeadlinePassed,
    Fault,
    InvalidRequest,
    Overloaded,
    Unavailable,
)
from gyre_inference.domain.generation import FinishReason, Message, ModelRequest, Parameters, Piece
from gyre_inference.ports import LanguageModel
from gyre_runtime.telemetry import tracer
from gyre_runtime.telemetry.traces import configure_traces

if TYPE_CHECKING:
    from gyre_local.triton import TritonServer

ENVIRONMENT = Path(__file__).parents[3] / ".venv-models"
MODEL = "gyre-tiny"
PROMPT = "The router shows a green light when it is connected. " * 3


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A tiny random model with one slot and two places to wait."""
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    from gyre_local.triton import TritonServer, TritonSettings

    state = tmp_path_factory.mktemp("triton")
    server = TritonServer(TritonSettings(ENVIRONMENT, state / "server", exit_timeout_s=3))
    command = [ENVIRONMENT / "bin" / "python", "-m", "gyre_models"]
    subprocess.run([*command, "tiny", state / "model"], check=True, timeout=300)
    where = ["--model-dir", state / "model", "--repository", server.repository, "--name", MODEL]
    options = ["--set", "slots=1", "--set", "max_waiting=2", "--set", "default_max_tokens=64"]
    materialise = ["materialise", "--engine", "torch", *where, *options]
    subprocess.run([*command, *materialise], check=True, timeout=300)
    with server:
        server.control().load(MODEL)
        yield server


@pytest.fixture
async def on_triton(triton: TritonServer) -> AsyncIterator[TritonLanguageModel]:
    async with triton_at(triton.address) as connection:
        yield TritonLanguageModel(connection, Watchdogs(20, 10))


@pytest.fixture(params=["memory", pytest.param("triton", marks=pytest.mark.models)])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    if request.param == "triton":
        real: LanguageModel = request.getfixturevalue("on_triton")
        return real
    return MemoryLanguageModel(models=frozenset({MODEL}), pause=0.001)


def asking(**parameters: object) -> ModelRequest:
    defaults = Parameters(max_tokens=12, temperature=0)
    return ModelRequest(
        MODEL,
        (Message("user", PROMPT),),
        replace(defaults, **parameters),  # type: ignore[arg-type]
        "acme",
        str(uuid4()),
    )


async def gather(model: LanguageModel, request: ModelRequest) -> list[Piece]:
    async with aclosing(model.write(request)) as pieces:
        return [piece async for piece in pieces]


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


async def test_text_comes_in_pieces_and_the_last_one_ends_it(model: LanguageModel) -> None:
    pieces = await gather(model, asking())
    assert len([piece for piece in pieces if piece.text]) > 2
    assert [piece.ending is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    ending = pieces[-1].ending
    assert ending is not None
    assert ending.reason is FinishReason.LENGTH
    assert ending.usage.output_tokens == 12
    assert ending.usage.input_tokens > 0


def test_the_engine_is_told_the_trace_that_it_continues() -> None:
    configure_traces("inference", None)
    with tracer("test").start_as_current_span("answer") as caller, Operation(asking()) as operation:
        wire = infer_request(asking(), operation.traceparent())
    _, trace_id, span_id, _ = wire.parameters["traceparent"].string_param.split("-")
    context = caller.get_span_context()
    assert int(trace_id, 16) == context.trace_id
    assert int(span_id, 16) not in (0, context.span_id)


async def test_the_same_request_gives_the_same_text(model: LanguageModel) -> None:
    assert text(await gather(model, asking())) == text(await gather(model, asking()))


async def test_a_guided_text_is_one_of_its_choices(model: LanguageModel) -> None:
    choices = ("[1] Es kostet 9,99 €.", "[2] It is free.", "The documents do not answer.")
    pieces = await gather(model, replace(asking(max_tokens=100), choices=choices))
    assert text(pieces) in choices
    assert pieces[-1].ending
    assert pieces[-1].ending.reason is FinishReason.STOP


async def test_a_text_that_is_closed_early_leaves_room_for_the_next(model: LanguageModel) -> None:
    for _ in range(4):
        async with aclosing(model.write(asking(max_tokens=400))) as pieces:
            await anext(pieces)
    assert text(await gather(model, asking()))


async def test_a_model_that_is_missing_is_unavailable(model: LanguageModel) -> None:
    with pytest.raises(Unavailable, match="nobody"):
        await gather(model, replace(asking(), model="nobody"))


async def test_the_callers_time_is_kept(model: LanguageModel) -> None:
    if isinstance(model, MemoryLanguageModel):
        model.pause = 1.0
    with pytest.raises(DeadlinePassed):
        await gather(model, replace(asking(max_tokens=2_000), timeout=0.05))


async def test_a_model_says_its_version(model: LanguageModel) -> None:
    assert await model.version(MODEL)
    assert await model.version("nobody") == ""


@pytest.mark.models
async def test_a_full_queue_is_overload_with_a_time_to_retry(on_triton: LanguageModel) -> None:
    asked = [gather(on_triton, asking(max_tokens=150)) for _ in range(9)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, Overloaded)]
    assert refused
    assert all(fault.retry_after for fault in refused)
    assert len([end for end in ends if isinstance(end, list)]) + len(refused) == 9


@pytest.mark.models
async def test_what_the_model_refuses_is_an_invalid_request(on_triton: LanguageModel) -> None:
    long = replace(asking(), messages=(Message("user", "fee " * 3_000),))
    with pytest.raises(InvalidRequest) as refused:
        await gather(on_triton, long)
    assert list(refused.value.violations) == ["messages"]


@pytest.mark.models
async def test_a_cancelled_task_frees_the_slot(on_triton: LanguageModel) -> None:
    for _ in range(3):
        task = asyncio.create_task(gather(on_triton, asking(max_tokens=400)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert text(await gather(on_triton, asking()))


@pytest.mark.models
async def test_a_dead_model_process_is_noticed_by_its_silence(triton: TritonServer) -> None:
    from tests.platform.models import heal, processes

    async with triton_at(triton.address) as connection:
        impatient = TritonLanguageModel(connection, Watchdogs(1.0, 1.0))
        for process in processes(triton):
            os.kill(process, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await gather(impatient, asking())
    heal(triton, MODEL)
    async with triton_at(triton.address) as connection:
        patient = TritonLanguageModel(connection, Watchdogs(20, 10))
        assert text(await gather(patient, asking()))


async def test_a_server_that_is_down_is_unavailable() -> None:
    async with triton_at("127.0.0.1:1") as connection:
        nobody = TritonLanguageModel(connection, Watchdogs())
        with pytest.raises(Fault) as down:
            await gather(nobody, replace(asking(), timeout=5))
    assert isinstance(down.value, Unavailable)
    assert "127.0.0.1" not in down.value.detail
