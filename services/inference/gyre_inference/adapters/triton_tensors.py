"""Requests to tensors and tensors to pieces, as the language model's contract has them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

from tritonclient.grpc import service_pb2 as kserve

from gyre_inference.domain.generation import (
    Ending,
    FinishReason,
    Message,
    ModelRequest,
    Parameters,
    Piece,
    Usage,
)

_FORMATS = {"INT32": "<i", "INT64": "<q", "UINT64": "<Q", "FP32": "<f", "BOOL": "<?"}
_NANO = 1e-9


def infer_request(request: ModelRequest, traceparent: str = "") -> kserve.ModelInferRequest:
    """One streamed generation; Triton is asked to mark its last response."""
    name, _, adapter = request.model.partition("+")
    wire = kserve.ModelInferRequest(model_name=name, id=request.request_id)
    wire.parameters["triton_enable_empty_final_response"].bool_param = True
    if traceparent:  # a parameter: Triton hands no gRPC metadata on to a model
        wire.parameters["traceparent"].string_param = traceparent
    if request.timeout is not None:
        wire.parameters["timeout"].int64_param = max(1, int(request.timeout * 1e6))
    _add(wire, "messages", "BYTES", [_json(request.messages)])
    _add(wire, "stream", "BOOL", [True])
    # Tenants share no cached prompt starts: the time of a first token would tell of the others'.
    _add(wire, "cache_salt", "BYTES", [request.tenant])
    _add_parameters(wire, request.parameters)
    if adapter:
        _add(wire, "lora_name", "BYTES", [adapter])
    if request.choices:
        _add(wire, "guided_decoding_guide_type", "BYTES", ["choice"])
        guide = json.dumps(request.choices, ensure_ascii=False)
        _add(wire, "guided_decoding_guide", "BYTES", [guide])
    return wire


def piece(response: kserve.ModelInferResponse) -> Piece:
    """A piece of text; with its ending where the response has a finish reason."""
    values = {
        output.name: raw
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    text = _text(values["text_output"]) if "text_output" in values else ""
    return Piece(text, _ending(values) if "finish_reason" in values else None)


def is_last(response: kserve.ModelInferResponse) -> bool:
    """Whether Triton sends nothing more for the request."""
    return bool(response.parameters["triton_final_response"].bool_param)


def _json(messages: Sequence[Message]) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return json.dumps(turns, ensure_ascii=False)


def _add_parameters(wire: kserve.ModelInferRequest, parameters: Parameters) -> None:
    singles = (
        ("max_tokens", "INT32", parameters.max_tokens),
        ("temperature", "FP32", parameters.temperature),
        ("top_p", "FP32", parameters.top_p),
        ("top_k", "INT32", parameters.top_k),
        ("seed", "UINT64", parameters.seed),
    )
    for name, kind, value in singles:
        if value is not None:
            _add(wire, name, kind, [value])
    if parameters.stop:
        _add(wire, "stop_words", "BYTES", parameters.stop)


def _add(
    wire: kserve.ModelInferRequest, name: str, kind: str, values: Sequence[str | float]
) -> None:
    wire.inputs.add(name=name, datatype=kind, shape=[len(values)])
    wire.raw_input_contents.append(b"".join(_bytes(kind, value) for value in values))


def _bytes(kind: str, value: str | float) -> bytes:
    if isinstance(value, str):
        encoded = value.encode()
        return struct.pack("<I", len(encoded)) + encoded
    return struct.pack(_FORMATS[kind], value)


def _ending(values: dict[str, bytes]) -> Ending:
    return Ending(
        reason=FinishReason[_text(values["finish_reason"]).upper()],
        usage=Usage(
            input_tokens=_number("<i", values, "num_input_tokens"),
            output_tokens=_number("<i", values, "num_output_tokens"),
            cached_tokens=_number("<i", values, "num_cached_tokens"),
        ),
        queue=_number("<q", values, "queue_ns") * _NANO,
        total=_number("<q", values, "total_ns") * _NANO,
    )


def _number(form: str, values: dict[str, bytes], name: str) -> int:
    return int(struct.unpack(form, values[name])[0]) if name in values else 0


def _text(raw: bytes) -> str:
    return raw[4 : 4 + int.from_bytes(raw[:4], "little")].decode()
