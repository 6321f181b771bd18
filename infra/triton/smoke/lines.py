"""The lines of the contract. A line is a function; its name is what it says."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from infra.triton.smoke.wire import Reply, WireClient, parts

TEXT = "The router shows a green light when it is connected."
STORY = "Tell a long story about a router, with every detail."
SCHEMA = {
    "type": "object",
    "properties": {"refund": {"type": "boolean"}, "days": {"enum": [7, 14]}},
    "required": ["refund", "days"],
}
METRICS = (
    *("requests_waiting", "requests_running", "requests_total", "cache_use_ratio"),
    *("time_to_first_token_seconds", "inter_token_seconds", "queue_seconds", "engine_up"),
    *("input_tokens_total", "output_tokens_total", "cached_tokens_total", "adapters_loaded"),
    *("prefix_cache_bytes", "heartbeat_seconds"),
)
BAD: tuple[dict[str, Any], ...] = (
    {"text_input": TEXT, "temperature": -1.0},
    {"text_input": TEXT, "top_p": 2.0},
    {"text_input": TEXT, "max_tokens": 0},
    {"text_input": TEXT, "input_ids": [1]},
    {"messages": "nonsense"},
    {"max_tokens": 3},
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Skipped(Exception):
    """The line needs something that was not given; the message says what."""


@dataclass(frozen=True)
class Bench:
    """What the lines ask. flood: requests at once that are more than the server may hold."""

    client: WireClient
    model: str
    adapter: str = ""
    metrics_url: str = ""
    flood: int = 600
    too_long: int = 300_000

    def ask(self, **tensors: Any) -> Reply:
        """An answer; an error that was not looked for fails the line."""
        reply = self.client.ask(**tensors)
        expect(not reply.error, f"refused: {reply.error}")
        return reply

    def metric(self, name: str) -> list[float]:
        """All values of the model's metric."""
        if not self.metrics_url:
            raise Skipped("say where the metrics are: --metrics URL")
        with urllib.request.urlopen(self.metrics_url, timeout=5) as page:
            lines = page.read().decode().splitlines()
        mine = re.compile(rf'gyre_llm_{name}(_count)?\{{[^}}]*model="{re.escape(self.model)}"')
        return [float(line.rsplit(" ", 1)[1]) for line in lines if mine.match(line)]


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def an_answer_streams_in_parts_and_the_last_one_carries_the_counts(bench: Bench) -> None:
    reply = bench.ask(text_input=STORY, max_tokens=40)
    expect(len(reply.parts) > 3, f"{len(reply.parts)} parts")
    expect(len(reply.tokens) == reply.last("num_output_tokens"), "tokens and count differ")
    expect(reply.last("finish_reason") in ("stop", "length"), reply.last("finish_reason"))
    times = [reply.last(name) for name in ("queue_ns", "ttft_ns", "total_ns")]
    expect(0 < times[0] <= times[1] <= times[2], f"times {times}")


def without_stream_there_is_one_part_with_the_same_text(bench: Bench) -> None:
    whole = bench.ask(text_input=TEXT, max_tokens=20, stream=False)
    expect(len(whole.parts) == 1, f"{len(whole.parts)} parts")
    expect(whole.text == bench.ask(text_input=TEXT, max_tokens=20).text, "the texts differ")


def an_answer_ends_at_its_length(bench: Bench) -> None:
    reply = bench.ask(text_input=STORY, max_tokens=2)
    expect(reply.last("finish_reason") == "length", reply.last("finish_reason"))
    expect(len(reply.tokens) == 2, f"{len(reply.tokens)} tokens")


def a_stop_word_ends_the_answer_before_it_and_is_named(bench: Bench) -> None:
    full = bench.ask(text_input=STORY, max_tokens=40).text
    word = full[len(full) // 2 :][:4]
    reply = bench.ask(text_input=STORY, max_tokens=40, stop_words=[word, "\0never\0"])
    expect(word not in reply.text, f"{word!r} is shown")
    expect(full.startswith(reply.text), "the text before it differs")
    expect(reply.last("stop_reason") == word, f"stop_reason {reply.last('stop_reason')!r}")


def tokens_go_in_and_log_probabilities_come_out(bench: Bench) -> None:
    ids = bench.ask(text_input=STORY, max_tokens=8).tokens
    reply = bench.ask(input_ids=ids, max_tokens=6, return_log_probs=True)
    scores = reply.parts[-1]["output_log_probs"]
    expect(reply.last("num_input_tokens") == len(ids), "tokens of the prompt were added or lost")
    expect(len(scores) == len(reply.tokens), f"{len(scores)} scores, {len(reply.tokens)} tokens")
    expect(all(score <= 0 for score in scores), "a log-probability is above 0")


def messages_are_rendered_with_the_models_own_template(bench: Bench) -> None:
    messages = json.dumps([{"role": "user", "content": TEXT}])
    expect(bench.ask(messages=messages, max_tokens=8).last("num_input_tokens") > 1, "no prompt")


def the_same_seed_gives_the_same_text(bench: Bench) -> None:
    warm = {"text_input": STORY, "temperature": 1.0, "max_tokens": 16}
    texts = [bench.ask(**warm, seed=seed).text for seed in (7, 7, 8, 9)]
    expect(texts[0] == texts[1], "the same seed gave two texts")
    expect(len(set(texts)) > 1, "other seeds gave the same text")


def every_sampling_parameter_is_accepted(bench: Bench) -> None:
    shapes = {"temperature": 0.8, "top_p": 0.9, "top_k": 20, "min_p": 0.01, "seed": 3}
    penalties = {"repetition_penalty": 1.2, "presence_penalty": 0.1, "frequency_penalty": 0.1}
    expect(bench.ask(text_input=STORY, max_tokens=8, **shapes, **penalties).tokens, "no token")


def a_choice_is_quoted_verbatim(bench: Bench) -> None:
    choices = ['[1] Die Gebühr beträgt 9,99 €: "fällig" \\ sofort.', "[2] There is no fee."]
    guide = {"guided_decoding_guide_type": "choice", "guided_decoding_guide": json.dumps(choices)}
    reply = bench.ask(text_input="The fee?", max_tokens=120, **guide)
    expect(reply.text in choices, f"wrote {reply.text!r}")
    expect(reply.last("finish_reason") == "stop", reply.last("finish_reason"))


def json_follows_its_schema(bench: Bench) -> None:
    guide = {"guided_decoding_guide_type": "json", "guided_decoding_guide": json.dumps(SCHEMA)}
    value = json.loads(bench.ask(text_input="The refund?", max_tokens=200, **guide).text)
    expect(set(value) == {"refund", "days"} and value["days"] in (7, 14), f"wrote {value}")


def text_matches_its_regular_expression(bench: Bench) -> None:
    guide = {"guided_decoding_guide_type": "regex", "guided_decoding_guide": "[a-c]{3}-[0-9]{2}"}
    text = bench.ask(text_input="x", max_tokens=40, **guide).text
    expect(re.fullmatch("[a-c]{3}-[0-9]{2}", text), f"wrote {text!r}")


def a_broken_guide_is_refused_and_costs_nobody_else(bench: Bench) -> None:
    guide = {"guided_decoding_guide_type": "regex", "guided_decoding_guide": "(["}
    refused(bench, "[INVALID_ARGUMENT]", text_input="x", **guide)


def an_adapter_changes_the_answer(bench: Bench) -> None:
    if not bench.adapter:
        raise Skipped("name an adapter of the model: --adapter NAME")
    plain = bench.ask(text_input=STORY, max_tokens=30).text
    adapted = bench.ask(text_input=STORY, max_tokens=30, lora_name=bench.adapter)
    expect(adapted.text != plain, "the answer is the model's own")


def an_unknown_adapter_is_refused(bench: Bench) -> None:
    refused(bench, "[UNKNOWN_ADAPTER]", text_input="x", lora_name="../etc")


def prompt_starts_are_shared_within_a_tenant_and_never_between_two(bench: Bench) -> None:
    prompt, acme = f"{token_hex(8)} {TEXT * 12}", token_hex(4)
    counts = [
        bench.ask(text_input=prompt, max_tokens=2, cache_salt=salt).last("num_cached_tokens")
        for salt in (acme, acme, token_hex(4))
    ]
    expect(counts[0] == 0, f"the first one found {counts[0]} tokens")
    expect(counts[1] > 0, "the second one found nothing")
    expect(counts[2] == 0, f"another tenant found {counts[2]} tokens")


def bad_parameters_are_refused_by_name(bench: Bench) -> None:
    for tensors in BAD:
        refused(bench, "[INVALID_ARGUMENT]", **tensors)


def a_prompt_that_is_too_long_is_refused(bench: Bench) -> None:
    ids = bench.ask(text_input=STORY, max_tokens=1).tokens
    refused(bench, "[PROMPT_TOO_LONG]", input_ids=ids * bench.too_long)


def a_cancelled_stream_frees_its_place(bench: Bench) -> None:
    for _ in range(3):
        call = bench.client.call(text_input=STORY, max_tokens=400, temperature=1.0)
        next(parts(call))
        call.cancel()
    bench.ask(text_input=TEXT, max_tokens=3)
    expect(eventually(lambda: not any(bench.metric("requests_running"))), "somebody still runs")


def a_passed_deadline_ends_the_answer(bench: Bench) -> None:
    reply = bench.client.ask(text_input=STORY, max_tokens=400, timeout_us=20_000)
    late = "[DEADLINE_EXCEEDED]" in reply.error
    expect(late or reply.last("finish_reason") == "timeout", reply.error or "it went on to its end")


def a_full_queue_refuses_and_those_inside_are_served(bench: Bench) -> None:
    with ThreadPoolExecutor(bench.flood) as pool:
        asked: dict[str, Any] = {"text_input": STORY, "max_tokens": 32, "timeout": 300.0}
        replies = list(pool.map(lambda _: bench.client.ask(**asked), range(bench.flood)))
    errors = [reply.error for reply in replies if reply.error]
    expect(errors, f"all of {bench.flood} were served: name more, --flood")
    expect(all("[QUEUE_FULL]" in error for error in errors), f"other errors: {set(errors)}")
    expect(len(errors) < bench.flood, "nobody was served")
    bench.ask(text_input=TEXT, max_tokens=3)


def a_priority_must_be_a_number(bench: Bench) -> None:
    refused(bench, "[INVALID_ARGUMENT]", text_input="x", parameters={"gyre_priority": "high"})
    bench.ask(text_input=TEXT, max_tokens=2, parameters={"gyre_priority": 5})


def a_traceparent_is_accepted(bench: Bench) -> None:
    bench.ask(text_input=TEXT, max_tokens=2, parameters={"traceparent": TRACEPARENT})


def own_metrics_stand_on_the_servers_port(bench: Bench) -> None:
    before = sum(bench.metric("output_tokens_total"))
    bench.ask(text_input=STORY, max_tokens=8)
    moved = eventually(lambda: sum(bench.metric("output_tokens_total")) > before)
    expect(moved, "the count of tokens stands still")
    missing = [name for name in METRICS if not bench.metric(name)]
    expect(not missing, f"missing: {', '.join(missing)}")
    expect(bench.metric("engine_up") == [1.0], "the engine is not up")
    age = time.time() - bench.metric("heartbeat_seconds")[0]
    expect(age < 10, f"the last heartbeat is {age:.0f} s old")


def refused(bench: Bench, prefix: str, **tensors: Any) -> None:
    """The request is refused with the prefix, and the next one is served."""
    error = bench.client.ask(**tensors).error
    shown = {name: str(value)[:60] for name, value in tensors.items()}
    expect(prefix in error, f"{shown} gave {error or 'an answer'}")
    bench.ask(text_input=TEXT, max_tokens=2)


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.2)
    return False


Line = Callable[[Bench], None]
LINES: tuple[Line, ...] = (
    an_answer_streams_in_parts_and_the_last_one_carries_the_counts,
    without_stream_there_is_one_part_with_the_same_text,
    an_answer_ends_at_its_length,
    a_stop_word_ends_the_answer_before_it_and_is_named,
    tokens_go_in_and_log_probabilities_come_out,
    messages_are_rendered_with_the_models_own_template,
    the_same_seed_gives_the_same_text,
    every_sampling_parameter_is_accepted,
    a_choice_is_quoted_verbatim,
    json_follows_its_schema,
    text_matches_its_regular_expression,
    a_broken_guide_is_refused_and_costs_nobody_else,
    an_adapter_changes_the_answer,
    an_unknown_adapter_is_refused,
    prompt_starts_are_shared_within_a_tenant_and_never_between_two,
    bad_parameters_are_refused_by_name,
    a_prompt_that_is_too_long_is_refused,
    a_cancelled_stream_frees_its_place,
    a_passed_deadline_ends_the_answer,
    a_full_queue_refuses_and_those_inside_are_served,
    a_priority_must_be_a_number,
    a_traceparent_is_accepted,
    own_metrics_stand_on_the_servers_port,
)
