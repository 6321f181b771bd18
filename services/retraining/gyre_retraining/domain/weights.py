"""Which files a model may hold, and whether safetensors are what they say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import PurePosixPath
from typing import Any

from gyre_retraining.domain.models import ModelRefused

WEIGHTS = ".safetensors"
PLAIN = (".json", ".jinja", ".txt", ".model")
"""Text, and the vocabulary of SentencePiece, which is no code."""
LEFT_OUT = frozenset({"README.md", "SHA256SUMS", ".gitattributes"})
"""Made anew: a library's README quotes rows of the training data. Or a hub's, of no use here."""
PICKLES = (b"PK\x03\x04", *(b"\x80" + bytes([version]) for version in range(2, 6)))
LENGTH = 8
LONGEST_HEADER = 100_000_000
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the header describes it; begin and end in bytes of the data."""

    name: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


def check_name(path: str, head: bytes) -> None:
    """head: the file's first bytes. Raises `ModelRefused` for what may run code when it is read."""
    if not path.endswith((WEIGHTS, *PLAIN)) or PurePosixPath(path).name.startswith("."):
        allowed = ", ".join((WEIGHTS, *PLAIN))
        raise ModelRefused(
            f"{path}: weights are safetensors only; what may be kept ends in {allowed}"
        )
    if not path.isprintable():
        raise ModelRefused(f"{path!r}: a name for people, please")
    if not path.endswith(WEIGHTS) and head.startswith(PICKLES):
        raise ModelRefused(f"{path}: it is pickled or an archive, whatever its name says")


def header_length(head: bytes, size: int, path: str) -> int:
    """Bytes of the header after the first eight. Raises `ModelRefused`."""
    length = int.from_bytes(head[:LENGTH], "little")
    if len(head) < LENGTH or not 2 <= length <= min(LONGEST_HEADER, size - LENGTH):
        raise ModelRefused(f"{path}: not safetensors, or cut off")
    return length


def tensors(header: bytes, data_bytes: int, path: str) -> list[Tensor]:
    """What the header says of a file with so much data. Raises `ModelRefused` where it is no
    header, or tensors overlap, leave gaps, or are longer than the file."""
    try:
        told = json.loads(header)
        found = sorted(
            (_tensor(name, one) for name, one in told.items() if name != "__metadata__"),
            key=lambda one: (one.begin, one.end),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(f"{path}: its header is none of safetensors ({error})") from error
    ends = [0, *(place for one in found for place in (one.begin, one.end)), data_bytes]
    gaps = [(a, b) for a, b in list(pairwise(ends))[::2] if a != b]
    if gaps:
        raise ModelRefused(f"{path}: its tensors do not fill the file from end to end")
    return found


def _tensor(name: str, told: Any) -> Tensor:
    begin, end = told["data_offsets"]
    shape = tuple(told["shape"])
    if not all(isinstance(one, int) and one >= 0 for one in (begin, end, *shape)):
        raise ValueError(f"{name} has sizes that are none")
    if prod(shape) * BITS[told["dtype"]] != (end - begin) * 8:
        raise ValueError(f"{name} is not as long as its shape")
    return Tensor(name, shape, begin, end)
