"""Recognises the same content (hash) and nearly the same content (MinHash)."""

import hashlib
import re

import numpy as np

_PERMUTATIONS = 128
_BANDS, _ROWS = 32, 4
_SHINGLE_WORDS = 5
_BATCH = 4096
_WORDS = re.compile(r"\w+")
# Scripts written without spaces: every character counts as a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_RANDOM = np.random.Generator(np.random.PCG64(20))
_FACTORS = _RANDOM.integers(1, 1 << 28, _PERMUTATIONS, dtype=np.uint64).astype("<u4")
_SHIFTS = _RANDOM.integers(0, 1 << 60, _PERMUTATIONS, dtype=np.uint64).astype("<u4")


def content_hash(text: str) -> str:
    """Lower-case hexadecimal SHA-256 of the normalised text, blind to case and whitespace."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


def fingerprint(text: str) -> bytes:
    """MinHash signature of 128 values of 32 bits (512 bytes) over shingles of five words."""
    hashes = np.frombuffer(b"".join(map(_hash, _shingles(text))), dtype="<u4")
    minima = np.full(_PERMUTATIONS, np.iinfo("<u4").max, dtype="<u4")
    for start in range(0, len(hashes), _BATCH):
        batch = hashes[start : start + _BATCH, np.newaxis]
        minima = np.minimum(minima, (batch * _FACTORS + _SHIFTS).min(axis=0))
    return minima.tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """Estimated Jaccard similarity of two fingerprints, 0 to 1."""
    return float(np.mean(np.frombuffer(one, "<u4") == np.frombuffer(other, "<u4")))


def bands(signature: bytes) -> tuple[str, ...]:
    """32 keys for an index: two documents that are 0.8 alike share at least one in 99.99 %."""
    width = _ROWS * 4
    pieces = (signature[place * width : (place + 1) * width] for place in range(_BANDS))
    return tuple(
        f"{place:02x}{hashlib.blake2b(piece, digest_size=8).hexdigest()}"
        for place, piece in enumerate(pieces)
    )


def _shingles(text: str) -> set[str]:
    words = _WORDS.findall(_UNSPACED.sub(r" \g<0> ", text.casefold()))
    last = max(len(words) - _SHINGLE_WORDS, 0)
    return {" ".join(words[i : i + _SHINGLE_WORDS]) for i in range(last + 1)}


def _hash(shingle: str) -> bytes:
    return hashlib.blake2b(shingle.encode(), digest_size=4).digest()
