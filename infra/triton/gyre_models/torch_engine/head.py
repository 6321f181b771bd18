"""The head of a small model, its widest product by far, with weights laid out for the CPU."""

from __future__ import annotations

from typing import Any

import torch

COPY_LIMIT = 256 << 20


def lay_out(model: Any, rows: int) -> bool:
    """Lets the head of a float32 model on a CPU read a copy of its weights in oneDNN's order for
    `rows` rows; returns whether it does. Takes half the time of torch's own product with MKL, for
    one row and for many; it needs the memory twice, so a head over `COPY_LIMIT` bytes stays.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or not torch.backends.mkldnn.is_available():
        return False
    weight, bias = head.weight.detach(), head.bias
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.nbytes > COPY_LIMIT:
        return False
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)

    def forward(states: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, packed, bias, "none", [], ""
        )
        return product

    head.forward = forward
    return True
