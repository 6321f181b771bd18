"""Tensors become requests, or a refusal that names the tensor."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gyre_models.contract.outcome import Emission
from gyre_models.contract.refusal import Refusal
from gyre_models.contract.request import Sampling, read_request
from gyre_models.contract.sender import Sender
from gyre_models.contract.tensors import INPUTS, OUTPUTS, config_pbtxt
from numpy.typing import NDArray

KINDS = {"STRING": np.object_, "INT32": np.int32, "FP32": np.float32, "UINT64": np.uint64}


def tensors(**values: Any) -> dict[str, NDArray[Any]]:
    kinds = {spec.name: KINDS.get(spec.kind, np.bool_) for spec in INPUTS}
    return {
        name: np.array([value] if not isinstance(value, list) else value, kinds[name])
        for name, value in values.items()
    }


def test_absent_tensors_have_the_contracts_defaults() -> None:
    request = read_request(tensors(text_input=b"hello"))
    assert request.text == "hello"
    assert request.sampling == Sampling()
    assert request.sampling.greedy
    assert request.stream
    assert request.max_tokens is None


def test_every_tensor_is_read() -> None:
    request = read_request(
        tensors(
            messages=json.dumps([{"role": "user", "content": "Grüße"}]).encode(),
            max_tokens=7,
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            min_p=0.1,
            repetition_penalty=1.1,
            presence_penalty=0.2,
            frequency_penalty=0.3,
            seed=2**63 + 5,
            stop_words=[b"\n", b"Ende"],
            stream=False,
            lora_name=b"legal",
            guided_decoding_guide_type=b"regex",
            guided_decoding_guide=b"a+",
            cache_salt=b"acme",
            return_log_probs=True,
        ),
        timeout_s=2.5,
        priority=1,
    )
    assert request.messages == ({"role": "user", "content": "Grüße"},)
    assert request.sampling.seed == 2**63 + 5
    assert request.sampling.top_p == pytest.approx(0.9)
    assert request.stop_words == ("\n", "Ende")
    assert request.guide is not None
    assert (request.guide.kind, request.guide.text) == ("regex", "a+")
    assert (request.stream, request.lora_name, request.cache_salt) == (False, "legal", "acme")
    assert (request.return_log_probs, request.timeout_s, request.priority) == (True, 2.5, 1)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "exactly one"),
        ({"text_input": b"a", "input_ids": [1]}, "exactly one"),
        ({"text_input": b"\xff"}, "text_input"),
        ({"text_input": b"a", "temperature": float("nan")}, "temperature"),
        ({"text_input": b"a", "temperature": -1}, "temperature"),
        ({"text_input": b"a", "top_p": 0.0}, "top_p"),
        ({"text_input": b"a", "top_k": -1}, "top_k"),
        ({"text_input": b"a", "max_tokens": 0}, "max_tokens"),
        ({"text_input": b"a", "max_tokens": [1, 2]}, "max_tokens"),
        ({"text_input": b"a", "repetition_penalty": 0.0}, "repetition_penalty"),
        ({"text_input": b"a", "stop_words": [b"x"] * 17}, "stop_words"),
        ({"text_input": b"a", "guided_decoding_guide": b"x"}, "guided_decoding_guide_type"),
        ({"text_input": b"a", "guided_decoding_guide_type": b"python"}, "guided_decoding"),
        ({"text_input": b"a", "guided_decoding_guide_type": b"json"}, "guided_decoding_guide"),
        ({"messages": b"{}"}, "messages"),
        ({"messages": b"[]"}, "messages"),
        ({"messages": b'[{"role": "user"}]'}, "messages"),
        ({"messages": b"[" * 100_000}, "messages"),
    ],
)
def test_a_bad_tensor_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(Refusal, match=r"\[INVALID_ARGUMENT\]") as refused:
        read_request(tensors(**values))
    assert named in str(refused.value)


def test_the_configuration_lists_every_tensor_of_the_contract() -> None:
    text = config_pbtxt("llm-1")
    assert 'name: "llm-1"' in text
    assert all(f'name: "{spec.name}"' in text for spec in (*INPUTS, *OUTPUTS))
    assert text.count("optional: true") == len(INPUTS)


def test_parts_that_wait_for_the_sender_are_joined_in_order() -> None:
    sent: list[tuple[str, Emission]] = []
    sender = Sender(lambda target, emission: sent.append((target, emission)))
    for index in range(200):
        sender.put("a", Emission(text=str(index % 10), token_ids=[index]))
        sender.put("b", Emission(text="x"))
    sender.close()
    parts = [emission for target, emission in sent if target == "a"]
    assert "".join(part.text for part in parts) == "0123456789" * 20
    assert [token for part in parts for token in part.token_ids] == list(range(200))
    assert sum(len(emission.text) for target, emission in sent if target == "b") == 200


def test_a_failed_send_does_not_end_the_others() -> None:
    sent: list[str] = []

    def deliver(target: str, emission: Emission) -> None:
        if target == "gone":
            raise RuntimeError("the client left")
        sent.append(emission.text)

    sender = Sender(deliver)
    sender.put("gone", Emission(text="x"))
    sender.put("here", Emission(text="y"))
    sender.close()
    assert sent == ["y"]
