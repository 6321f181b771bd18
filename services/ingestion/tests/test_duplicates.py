import random

import pytest
from datasketch import MinHash
from gyre_ingestion.domain.duplicates import bands, content_hash, fingerprint, similarity

WORDS = [f"word{n}" for n in range(4000)]


def text_of(count: int, seed: int = 1) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def shingles(words: list[str]) -> set[str]:
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


@pytest.mark.parametrize("changed", [0, 5, 20, 80, 400])
def test_similarity_estimates_the_share_of_common_shingles(changed: int) -> None:
    one = text_of(1000)
    other = [*one]
    for place in range(0, changed * 2, 2):
        other[place * 2 % 1000] = f"new{place}"
    truth = len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))
    estimate = similarity(fingerprint(" ".join(one)), fingerprint(" ".join(other)))
    assert estimate == pytest.approx(truth, abs=0.15)


def test_the_estimate_agrees_with_datasketch() -> None:
    one, other = text_of(600), [*text_of(540), *text_of(60, seed=2)]
    theirs = []
    for words in (one, other):
        sketch = MinHash(num_perm=128, seed=7)
        sketch.update_batch([shingle.encode() for shingle in shingles(words)])
        theirs.append(sketch)
    ours = similarity(fingerprint(" ".join(one)), fingerprint(" ".join(other)))
    assert ours == pytest.approx(theirs[0].jaccard(theirs[1]), abs=0.2)


def test_near_duplicates_share_a_band_and_strangers_do_not() -> None:
    one = text_of(500)
    near = fingerprint(" ".join([*one[:-15], *text_of(15, seed=3)]))
    far = fingerprint(" ".join(text_of(500, seed=4)))
    signature = fingerprint(" ".join(one))
    assert set(bands(signature)) & set(bands(near))
    assert not set(bands(signature)) & set(bands(far))
    assert similarity(signature, signature) == 1.0


def test_a_hash_is_blind_to_case_and_space_only() -> None:
    assert content_hash("Hello  World\n") == content_hash("hello world")
    assert content_hash("hello world") != content_hash("hello, world")


def test_text_without_spaces_has_shingles_too() -> None:
    one = "今天天气很好我们去公园散步然后回家吃饭看书睡觉"
    assert 0.5 < similarity(fingerprint(one), fingerprint(one + "了")) <= 1
