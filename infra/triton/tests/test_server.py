"""The tensor contract through the real tritonserver, over gRPC."""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from gyre_local.triton import TritonServer
from gyre_runtime.telemetry import names

from infra.triton.smoke.wire import Reply, WireClient, gather, parts
from tests.platform.models import heal, processes

from .collector import Collector

pytestmark = pytest.mark.models
# Random weights may end any text that is free to end.
ENDLESS = {"guided_decoding_guide_type": "regex", "guided_decoding_guide": "[a-z]{600}"}


@pytest.fixture
def client(tiny_server: TritonServer) -> Iterator[WireClient]:
    client = WireClient(tiny_server.address, "gyre-tiny")
    yield client
    client.channel.close()


def test_an_answer_streams_and_its_last_part_carries_the_counts(client: WireClient) -> None:
    reply = client.ask(text_input="The router", max_tokens=20)
    assert len(reply.parts) > 5
    assert len(reply.tokens) == reply.last("num_output_tokens") == 20
    assert reply.last("finish_reason") == "length"
    assert 0 < reply.last("queue_ns") <= reply.last("ttft_ns") <= reply.last("total_ns")
    assert all("finish_reason" not in part for part in reply.parts[:-1])


def test_without_stream_there_is_one_part_with_the_same_text(client: WireClient) -> None:
    whole = client.ask(text_input="The router", max_tokens=20, stream=False)
    assert len(whole.parts) == 1
    assert whole.text == client.ask(text_input="The router", max_tokens=20).text


def test_token_ids_and_log_probabilities_travel(client: WireClient) -> None:
    ids = client.ask(text_input="The router", max_tokens=8).tokens
    reply = client.ask(input_ids=ids, max_tokens=6, return_log_probs=True)
    scores = reply.parts[-1]["output_log_probs"]
    assert reply.last("num_input_tokens") == 8
    assert len(scores) == 6
    assert all(score <= 0 for score in scores)


def test_a_choice_is_quoted_verbatim(client: WireClient) -> None:
    choices = ["[1] Die Gebühr beträgt 9,99 €.", "[2] There is no fee."]
    reply = client.ask(
        messages=json.dumps([{"role": "user", "content": "The fee?"}]),
        max_tokens=100,
        guided_decoding_guide_type="choice",
        guided_decoding_guide=json.dumps(choices),
    )
    assert reply.text in choices
    assert reply.last("finish_reason") == "stop"


def test_the_same_seed_gives_the_same_text_under_load(client: WireClient) -> None:
    warm = {"text_input": "You may", "temperature": 1.0, "seed": 7, "max_tokens": 20}
    alone = client.ask(**warm)
    with ThreadPoolExecutor(3) as pool:
        others = [
            pool.submit(client.ask, text_input="fee", temperature=2.0, max_tokens=30)
            for _ in range(2)
        ]
        among = client.ask(**warm)
    assert among.text == alone.text
    assert not any(other.result().error for other in others)


def test_a_known_prompt_start_is_counted_as_cached(client: WireClient) -> None:
    prompt = "Roaming in the European Union costs the same as at home. " * 2
    client.ask(text_input=prompt, max_tokens=2, cache_salt="acme")
    again = client.ask(text_input=prompt, max_tokens=2, cache_salt="acme")
    assert again.last("num_cached_tokens") > 0
    other = client.ask(text_input=prompt, max_tokens=2, cache_salt="globex")
    assert other.last("num_cached_tokens") == 0


def test_an_adapter_changes_the_answer(client: WireClient) -> None:
    plain = client.ask(text_input="The router", max_tokens=20)
    assert client.ask(text_input="The router", max_tokens=20, lora_name="legal").text != plain.text


@pytest.mark.parametrize(
    ("tensors", "prefix"),
    [
        ({"text_input": "x", "temperature": -1.0}, "[INVALID_ARGUMENT] temperature"),
        ({"text_input": "x", "input_ids": [1]}, "[INVALID_ARGUMENT] give exactly one"),
        ({"max_tokens": 3}, "[INVALID_ARGUMENT] give exactly one"),
        ({"messages": "nonsense"}, "[INVALID_ARGUMENT] messages"),
        ({"text_input": "fee " * 3000}, "[PROMPT_TOO_LONG]"),
        ({"text_input": "x", "lora_name": "nobody"}, "[UNKNOWN_ADAPTER]"),
    ],
)
def test_a_refusal_starts_with_its_stable_prefix_and_the_next_request_is_served(
    client: WireClient, tensors: dict[str, object], prefix: str
) -> None:
    assert prefix in client.ask(**tensors).error
    assert client.ask(text_input="The router", max_tokens=3).text


def test_a_full_queue_refuses_and_those_inside_are_served(client: WireClient) -> None:
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(client.ask, text_input="The router", max_tokens=60) for _ in range(12)]
        replies: list[Reply] = [call.result() for call in asked]
    refused = [reply for reply in replies if reply.error]
    served = {reply.text for reply in replies if not reply.error}
    assert refused
    assert all("[QUEUE_FULL]" in reply.error for reply in refused)
    assert len(served) == 1


def test_a_cancelled_stream_frees_its_slots(client: WireClient, tiny_server: TritonServer) -> None:
    for _ in range(2):
        call = client.call(text_input="The router", max_tokens=450, **ENDLESS)
        next(parts(call))
        call.cancel()
    assert client.ask(text_input="The router", max_tokens=3).text
    assert eventually(lambda: metric(tiny_server, 'requests_total{model="gyre-tiny",outcome="can'))
    assert eventually(lambda: metric(tiny_server, "requests_running") == 0)


def test_a_passed_deadline_ends_the_answer_with_what_there_is(client: WireClient) -> None:
    reply = client.ask(
        text_input="The router",
        max_tokens=450,
        timeout_us=100_000,
        **ENDLESS,
    )
    assert "[DEADLINE_EXCEEDED]" in reply.error or reply.last("finish_reason") == "timeout"
    assert len(reply.tokens) < 450


def test_own_metrics_stand_beside_tritons(client: WireClient, tiny_server: TritonServer) -> None:
    before = metric(tiny_server, "output_tokens_total")
    client.ask(text_input="The router", max_tokens=10)
    assert eventually(lambda: metric(tiny_server, "output_tokens_total") >= before + 10)
    assert metric(tiny_server, "time_to_first_token_seconds_count") > 0
    assert metric(tiny_server, "adapters_loaded") == 1


def test_an_answers_span_continues_the_callers_trace(
    client: WireClient, collector: Collector
) -> None:
    trace_id, parent = secrets.token_hex(16), secrets.token_hex(8)
    traceparent = {"traceparent": f"00-{trace_id}-{parent}-01"}
    client.ask(text_input="The router", max_tokens=5, parameters=traceparent)
    spans = collector.spans_of(trace_id)
    whole = spans["generate gyre-tiny"]
    values = {one.key: one.value for one in whole.attributes}
    assert whole.parent_span_id.hex() == parent
    assert values[names.USAGE_OUTPUT_TOKENS].int_value == 5
    assert values[names.RESPONSE_FINISH_REASONS].array_value.values[0].string_value == "length"
    for name in ("queue", "prefill", "decode"):
        assert spans[name].parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= spans[name].start_time_unix_nano
        assert spans[name].end_time_unix_nano <= whole.end_time_unix_nano


def test_a_refusal_is_an_error_in_the_callers_trace(
    client: WireClient, collector: Collector
) -> None:
    trace_id = secrets.token_hex(16)
    traceparent = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    client.ask(text_input="x", lora_name="nobody", parameters=traceparent)
    span = collector.spans_of(trace_id)["generate gyre-tiny"]
    values = {one.key: one.value.string_value for one in span.attributes}
    assert values[names.ERROR_TYPE] == "UNKNOWN_ADAPTER"
    assert values[names.REQUEST_MODEL] == "gyre-tiny"
    assert "nobody" in span.status.message


def test_a_killed_stub_hangs_no_one_past_the_deadline_and_a_reload_recovers(
    client: WireClient, tiny_server: TritonServer
) -> None:
    expected = client.ask(text_input="The router", max_tokens=10).text
    call = client.call(timeout=10, text_input="The router", max_tokens=450, **ENDLESS)
    next(parts_kept_open(call))
    (process,) = processes(tiny_server)
    threading.Timer(0.1, os.kill, (process, signal.SIGKILL)).start()
    with pytest.raises(grpc.RpcError) as ended:
        gather(call)
    # The server falls with the process where that held a lock of the memory that they share.
    assert ended.value.code() in (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    )
    heal(tiny_server, "gyre-tiny")
    healed = WireClient(tiny_server.address, "gyre-tiny")
    assert healed.ask(text_input="The router", max_tokens=10).text == expected
    healed.channel.close()


def test_a_model_is_unloaded_when_its_last_answer_is_told_and_comes_back(
    client: WireClient, tiny_server: TritonServer
) -> None:
    call = client.call(text_input="The router", max_tokens=60, **ENDLESS)
    told = parts(call)
    next(told)
    with ThreadPoolExecutor(1) as pool:
        unloading = pool.submit(tiny_server.control().unload, "gyre-tiny")
        rest = list(told)
        unloading.result()
    assert sum(len(part["token_ids"]) for part in rest if isinstance(part, dict)) == 59
    assert not tiny_server.control().model_ready("gyre-tiny")
    tiny_server.control().load("gyre-tiny")
    assert client.ask(text_input="The router", max_tokens=3).text


def parts_kept_open(call: object) -> Iterator[object]:
    yield from call  # type: ignore[misc]


def metric(server: TritonServer, name: str) -> float:
    with urllib.request.urlopen(server.metrics_url, timeout=5) as page:
        lines = page.read().decode().splitlines()
    values = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"gyre_llm_{name}")]
    return float(values[0]) if values else 0.0


def eventually(holds: object, seconds: float = 150.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False
