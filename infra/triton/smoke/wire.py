"""A plain client of the tensor contract, over Triton's generated gRPC stubs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as wire
from tritonclient.grpc import service_pb2_grpc

KINDS = {
    "input_ids": ("INT32", "i"),
    "max_tokens": ("INT32", "i"),
    "top_k": ("INT32", "i"),
    "seed": ("UINT64", "Q"),
    "stream": ("BOOL", "?"),
    "return_log_probs": ("BOOL", "?"),
    "temperature": ("FP32", "f"),
    "top_p": ("FP32", "f"),
    "min_p": ("FP32", "f"),
    "repetition_penalty": ("FP32", "f"),
    "presence_penalty": ("FP32", "f"),
    "frequency_penalty": ("FP32", "f"),
}
FORMATS = {"INT32": "i", "INT64": "q", "FP32": "f"}


@dataclass
class Reply:
    """One streamed answer: parts in order, the last one's tensors, or an error."""

    parts: list[dict[str, list[Any]]] = field(default_factory=list)
    error: str = ""

    @property
    def text(self) -> str:
        return "".join(part["text_output"][0] for part in self.parts)

    @property
    def tokens(self) -> list[int]:
        return [token for part in self.parts for token in part["token_ids"]]

    def last(self, name: str) -> Any:
        return self.parts[-1][name][0]


class WireClient:
    """One channel for all requests to one model."""

    def __init__(self, address: str, model: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self._model = model

    def ready(self, timeout: float) -> bool:
        request = wire.ModelReadyRequest(name=self._model)
        return bool(self._stub.ModelReady(request, timeout=timeout, wait_for_ready=True).ready)

    def request(
        self,
        timeout_us: int = 0,
        parameters: Mapping[str, str | int] | None = None,
        **tensors: Any,
    ) -> wire.ModelInferRequest:
        request = wire.ModelInferRequest(model_name=self._model)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        if timeout_us:
            request.parameters["timeout"].int64_param = timeout_us
        for name, given in (parameters or {}).items():
            kind = "int64_param" if isinstance(given, int) else "string_param"
            setattr(request.parameters[name], kind, given)
        for name, value in tensors.items():
            values = value if isinstance(value, list) else [value]
            kind, form = KINDS.get(name, ("BYTES", ""))
            request.inputs.add(name=name, datatype=kind, shape=[len(values)])
            request.raw_input_contents.append(
                struct.pack(f"<{len(values)}{form}", *values) if form else packed(values)
            )
        return request

    def call(self, timeout: float = 60.0, **tensors: Any) -> Any:
        """The open stream; the caller cancels or reads it."""
        return self._stub.ModelStreamInfer(iter([self.request(**tensors)]), timeout=timeout)

    def ask(self, timeout: float = 60.0, **tensors: Any) -> Reply:
        return gather(self.call(timeout, **tensors))


def gather(call: Any) -> Reply:
    """Reads a stream to its final response or its error."""
    reply = Reply()
    for part in parts(call):
        if isinstance(part, str):
            reply.error = part
        else:
            reply.parts.append(part)
    return reply


def parts(call: Any) -> Iterator[dict[str, list[Any]] | str]:
    """Read it to its end: Triton never unloads a model of which a stream was cancelled between its
    last response and its end.
    """
    try:
        for message in call:
            if message.error_message:
                yield message.error_message
                continue
            response = message.infer_response
            if response.outputs:
                yield tensors_of(response)
    finally:
        call.cancel()


def tensors_of(response: wire.ModelInferResponse) -> dict[str, list[Any]]:
    return {
        output.name: unpacked(output.datatype, raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def packed(texts: list[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(item)) + item for item in encoded)


def unpacked(kind: str, raw: bytes) -> list[Any]:
    if kind != "BYTES":
        return [value for (value,) in struct.iter_unpack(f"<{FORMATS[kind]}", raw)]
    texts = []
    while raw:
        (size,) = struct.unpack_from("<I", raw)
        texts.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return texts
