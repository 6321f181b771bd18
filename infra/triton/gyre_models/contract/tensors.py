"""The tensors of a language model, named once: requests and config.pbtxt are made from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of one request or response. size: elements, -1 for any number."""

    name: str
    kind: str
    size: int = 1
    optional: bool = True


INPUTS = (
    # The prompt: exactly one of the three. `messages` is a JSON list of {role, content}.
    TensorSpec("text_input", "STRING"),
    TensorSpec("input_ids", "INT32", -1),
    TensorSpec("messages", "STRING"),
    TensorSpec("max_tokens", "INT32"),
    TensorSpec("temperature", "FP32"),
    TensorSpec("top_p", "FP32"),
    TensorSpec("top_k", "INT32"),
    TensorSpec("min_p", "FP32"),
    TensorSpec("repetition_penalty", "FP32"),
    TensorSpec("presence_penalty", "FP32"),
    TensorSpec("frequency_penalty", "FP32"),
    TensorSpec("seed", "UINT64"),
    TensorSpec("stop_words", "STRING", -1),
    TensorSpec("stream", "BOOL"),
    TensorSpec("lora_name", "STRING"),
    TensorSpec("guided_decoding_guide_type", "STRING"),
    TensorSpec("guided_decoding_guide", "STRING"),
    TensorSpec("cache_salt", "STRING"),
    TensorSpec("return_log_probs", "BOOL"),
)
OUTPUTS = (
    TensorSpec("text_output", "STRING"),
    TensorSpec("token_ids", "INT32", -1),
    # Of the last response only:
    TensorSpec("finish_reason", "STRING"),
    TensorSpec("stop_reason", "STRING"),
    TensorSpec("num_input_tokens", "INT32"),
    TensorSpec("num_output_tokens", "INT32"),
    TensorSpec("num_cached_tokens", "INT32"),
    TensorSpec("queue_ns", "INT64"),
    TensorSpec("ttft_ns", "INT64"),
    TensorSpec("total_ns", "INT64"),
    TensorSpec("output_log_probs", "FP32", -1),
)


def config_pbtxt(name: str, kind: str = "KIND_CPU") -> str:
    """The model configuration of a decoupled language model: one instance owns the loop."""
    inputs = ",\n".join(_entry(spec, optional=spec.optional) for spec in INPUTS)
    outputs = ",\n".join(_entry(spec, optional=False) for spec in OUTPUTS)
    return (
        f'name: "{name}"\nbackend: "python"\nmax_batch_size: 0\n'
        "model_transaction_policy { decoupled: true }\n"
        f"instance_group [{{ kind: {kind} count: 1 }}]\n"
        f"input [\n{inputs}\n]\noutput [\n{outputs}\n]\n"
    )


def _entry(spec: TensorSpec, optional: bool) -> str:
    suffix = " optional: true" if optional else ""
    return f'  {{ name: "{spec.name}" data_type: TYPE_{spec.kind} dims: [{spec.size}]{suffix} }}'
