"""How answers end: stop words, guides, limits, cancellation, deadlines, refusals, failures."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable

import pytest
from client import ENDLESS, Client, answer, ask
from conftest import Start
from gyre_models.contract.outcome import FinishReason
from gyre_models.contract.refusal import Prefix
from gyre_models.contract.request import Guide, Sampling
from gyre_models.torch_engine.checkpoint import Checkpoint

HOT = Sampling(temperature=1.0, seed=1)
SCHEMA = {
    "type": "object",
    "properties": {"refund": {"type": "boolean"}, "days": {"enum": [7, 14]}},
    "required": ["refund", "days"],
}


def test_a_stop_word_ends_the_answer_before_it_and_is_named(
    llama: Checkpoint, start: Start
) -> None:
    engine = start(llama)
    full = answer(engine, text="The router", max_tokens=40).text
    word = full[12:16]
    client = answer(engine, text="The router", max_tokens=40, stop_words=(word, "never there"))
    assert client.text == full[: full.index(word)]
    assert client.outcome.finish_reason is FinishReason.STOP
    assert client.outcome.stop_reason == word


def test_text_held_back_for_a_stop_word_comes_when_the_word_does_not(
    llama: Checkpoint, start: Start
) -> None:
    engine = start(llama)
    full = answer(engine, text="The router", max_tokens=20).text
    almost = full[-3:] + "\0"
    assert answer(engine, text="The router", max_tokens=20, stop_words=(almost,)).text == full


def test_a_choice_is_one_of_the_given_texts_verbatim(llama: Checkpoint, start: Start) -> None:
    engine = start(llama)
    choices = ['[1] Die Gebühr ist 9,99 €: "fällig" \\ sofort 😀.', "[2] No\nfee."]
    guide = Guide("choice", json.dumps(choices))
    texts = {
        answer(
            engine,
            text="fee",
            max_tokens=200,
            guide=guide,
            sampling=Sampling(temperature=5.0, seed=seed),
        ).text
        for seed in range(8)
    }
    assert texts <= set(choices)
    assert len(texts) == 2


def test_guided_and_free_answers_share_a_batch(llama: Checkpoint, start: Start) -> None:
    engine = start(llama)
    free = answer(engine, text="The router", max_tokens=30).tokens
    schema = Guide("json", json.dumps(SCHEMA))
    among = ask(engine, text="The router", max_tokens=30)
    guided = [
        ask(engine, text=str(n), max_tokens=100, guide=schema, sampling=HOT) for n in range(4)
    ]
    for client in guided:
        reply = json.loads(client.wait().text)
        assert set(reply) == {"refund", "days"}
        assert reply["days"] in (7, 14)
        assert client.outcome.finish_reason is FinishReason.STOP
    assert among.wait().tokens == free


@pytest.mark.parametrize(
    ("guide", "pattern"),
    [
        (Guide("regex", r"[a-c]{3}-[0-9]{2}"), r"^[a-c]{3}-[0-9]{2}$"),
        (Guide("grammar", 'root ::= "yes" | "no"'), "^(yes|no)$"),
    ],
)
def test_an_answer_matches_its_guide(
    llama: Checkpoint, start: Start, guide: Guide, pattern: str
) -> None:
    client = answer(start(llama), text="x", max_tokens=40, guide=guide, sampling=HOT)
    assert re.match(pattern, client.text)


@pytest.mark.parametrize(
    "guide",
    [
        Guide("choice", "[]"),
        Guide("choice", "{"),
        Guide("json", '{"type": "nothing"}'),
        Guide("regex", "(["),
        Guide("grammar", "root ::="),
    ],
)
def test_a_broken_guide_is_the_callers_fault(llama: Checkpoint, start: Start, guide: Guide) -> None:
    engine = start(llama)
    assert ask(engine, text="x", guide=guide).wait().refusal.prefix is Prefix.INVALID
    assert answer(engine, text="The router", max_tokens=3).tokens


def test_a_cancelled_answer_ends_and_frees_its_slot(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1, max_length=512)
    endless = ask(engine, text="The router", max_tokens=500, guide=ENDLESS)
    endless.next()
    endless.gone = True
    assert endless.wait().outcome.finish_reason is FinishReason.CANCELLED
    assert answer(engine, text="The router", max_tokens=3).tokens
    assert engine.levels().running == 0


def test_a_cancelled_waiter_never_gets_a_slot(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1)
    long = ask(engine, text="The router", max_tokens=400, guide=ENDLESS)
    waiter = ask(engine, text="You may cancel", max_tokens=5)
    waiter.gone = True
    assert waiter.wait().outcome.output_tokens == 0
    long.gone = True
    assert long.wait().outcome.finish_reason is FinishReason.CANCELLED


def test_a_deadline_ends_a_running_answer_with_what_there_is(
    llama: Checkpoint, start: Start, slow: Callable[[float], None]
) -> None:
    engine = start(llama, slots=1)
    slow(0.1)
    client = ask(engine, text="The router", max_tokens=500, guide=ENDLESS, timeout_s=3.0).wait()
    assert client.outcome.finish_reason is FinishReason.TIMEOUT
    assert 0 < client.outcome.output_tokens < 500


def test_a_deadline_that_passes_while_waiting_is_refused(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1)
    long = ask(engine, text="The router", max_tokens=500, guide=ENDLESS)
    waiter = ask(engine, text="You may cancel", timeout_s=0.05)
    assert waiter.wait().refusal.prefix is Prefix.DEADLINE
    long.gone = True
    long.wait()


def test_a_full_room_refuses_and_serves_those_inside(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1, max_waiting=2)
    clients = [ask(engine, text="The router", max_tokens=30) for _ in range(12)]
    ends = [client.wait().parts[-1] for client in clients]
    refused = [end.refusal for end in ends if end.refusal is not None]
    assert refused
    assert {refusal.prefix for refusal in refused} == {Prefix.QUEUE_FULL}
    served = [client for client in clients if client.parts[-1].outcome]
    assert len({tuple(client.tokens) for client in served}) == 1


def test_the_lower_number_of_priority_goes_first(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1)
    running = ask(engine, text="The router", max_tokens=100, guide=ENDLESS)
    running.next()
    bulk = [ask(engine, text="You may", max_tokens=20, priority=5) for _ in range(3)]
    person = ask(engine, text="You may", max_tokens=20, priority=0)
    running.wait()
    waited = [client.wait().outcome.queue_ns for client in bulk]
    assert person.wait().outcome.queue_ns < min(waited)


@pytest.mark.parametrize(
    ("request_", "prefix"),
    [
        ({"text": "fee " * 600}, Prefix.PROMPT_TOO_LONG),
        ({"input_ids": (3, 99_999)}, Prefix.INVALID),
        ({"text": ""}, Prefix.INVALID),
        ({"text": "x", "lora_name": "../etc"}, Prefix.UNKNOWN_ADAPTER),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(
    llama: Checkpoint, start: Start, request_: dict[str, object], prefix: Prefix
) -> None:
    engine = start(llama)
    assert ask(engine, **request_).wait().refusal.prefix is prefix
    assert engine.levels().waiting == 0


def test_messages_are_rendered_with_the_models_own_template(
    llama: Checkpoint, start: Start
) -> None:
    engine = start(llama)
    messages = ({"role": "user", "content": "The fee?"},)
    rendered = "<|user|>The fee?\n<|assistant|>"
    expected = answer(engine, text=rendered, max_tokens=12)
    assert answer(engine, messages=messages, max_tokens=12).tokens == expected.tokens


def test_answers_longer_than_the_models_length_end_there(llama: Checkpoint, start: Start) -> None:
    client = answer(start(llama, max_length=64), text="The router", max_tokens=5000)
    assert client.outcome.input_tokens + client.outcome.output_tokens <= 512


def test_a_failed_forward_costs_its_own_answers_and_the_next_is_served(
    llama: Checkpoint, start_torch: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start_torch(llama)
    expected = answer(engine, text="The router", max_tokens=8).tokens
    real, broken = llama.model.forward, threading.Event()

    def forward(*args: object, **options: object) -> object:
        if broken.is_set():
            raise MemoryError("no memory is left")
        return real(*args, **options)

    monkeypatch.setattr(llama.model, "forward", forward)
    broken.set()
    refusal = ask(engine, text="The router", max_tokens=8).wait().refusal
    assert refusal.prefix is Prefix.INTERNAL
    assert "no memory is left" in str(refusal)
    broken.clear()
    assert answer(engine, text="The router", max_tokens=8).tokens == expected


def test_closing_refuses_what_is_unfinished(llama: Checkpoint, start: Start) -> None:
    engine = start(llama, slots=1)
    clients: list[Client] = [
        ask(engine, text="The router", max_tokens=400, guide=ENDLESS) for _ in range(3)
    ]
    clients[0].next()
    engine.close()
    assert {client.wait().refusal.prefix for client in clients} == {Prefix.STOPPING}
