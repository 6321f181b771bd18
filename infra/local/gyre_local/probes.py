"""Does it really answer? A model on Triton embeds one text or writes one token.

Triton calls a model ready whose Python process is dead, so readiness alone proves nothing.
"""

from __future__ import annotations

import struct
import urllib.request

import grpc
from tritonclient.grpc import service_pb2 as triton
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

TIMEOUT = 10.0
BUSY = "[QUEUE_FULL]"  # the engine's own refusal: it lives


def embeds(address: str, model: str) -> bool:
    """True when the embedding model makes a vector within 10 seconds."""
    request = triton.ModelInferRequest(
        model_name=model,
        inputs=[_tensor("text", "BYTES", 1, 1)],
        raw_input_contents=[_text("ready?")],
    )
    with grpc.insecure_channel(address) as channel:
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=TIMEOUT)
        except grpc.RpcError:
            return False
    return True


def writes(address: str, model: str) -> bool:
    """True when the language model writes a token within 10 seconds."""
    request = triton.ModelInferRequest(
        model_name=model,
        inputs=[_tensor("text_input", "BYTES", 1), _tensor("max_tokens", "INT32", 1)],
        raw_input_contents=[_text("ready?"), struct.pack("<i", 1)],
    )
    with grpc.insecure_channel(address) as channel:
        replies = GRPCInferenceServiceStub(channel).ModelStreamInfer(
            iter([request]), timeout=TIMEOUT
        )
        try:
            error = next(replies).error_message
            return not error or BUSY in error
        except (grpc.RpcError, StopIteration):
            return False


def replies(url: str) -> bool:
    """True when a page is given within 2 seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as page:
            return bool(page.status == 200)
    except OSError:
        return False


def _tensor(name: str, kind: str, *shape: int) -> triton.ModelInferRequest.InferInputTensor:
    return triton.ModelInferRequest.InferInputTensor(name=name, datatype=kind, shape=shape)


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<I", len(content)) + content
