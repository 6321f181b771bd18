"""Milvus Lite ranks passages alike, however they came to lie in segments, and ends when told to."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterable
from pathlib import Path

from gyre_local.milvus import MilvusServer, MilvusSettings
from pymilvus import DataType, Function, FunctionType, MilvusClient

WORDS = [f"word{number}" for number in range(200)]
RARITY = [1 / (number + 1) for number in range(200)]


def test_a_search_does_not_depend_on_when_passages_were_flushed(tmp_path: Path) -> None:
    rows = passages(90)
    often = [rows[:2], rows[2:30], rows[30:31], rows[31:]]
    with MilvusServer(MilvusSettings(tmp_path / "milvus")) as server:
        client = MilvusClient(server.uri)
        fill(client, "once", [rows])
        fill(client, "often", often)
        at_once, bit_by_bit = search(client, "once"), search(client, "often")
        client.close()
    assert len(at_once) == 10
    assert bit_by_bit == at_once


def test_it_ends_cleanly_where_a_background_job_ignores_interrupts(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what it starts inherits that
    try:
        server = MilvusServer(MilvusSettings(tmp_path / "milvus"))
        server.start()
    finally:
        signal.signal(signal.SIGINT, before)
    process = server._process
    server.stop()
    assert process is not None
    assert process.returncode == 0


def passages(count: int) -> list[dict[str, str]]:
    chance = random.Random(1)
    return [
        {"id": f"{n:03}", "terms": " ".join(chance.choices(WORDS, RARITY, k=chance.randint(9, 60)))}
        for n in range(count)
    ]


def fill(client: MilvusClient, name: str, parts: Iterable[list[dict[str, str]]]) -> None:
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=8)
    schema.add_field("terms", DataType.VARCHAR, max_length=4096, enable_analyzer=True)
    schema.add_field("lexical", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, ["terms"], ["lexical"]))
    index = MilvusClient.prepare_index_params()
    index.add_index("lexical", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_collection(name, schema=schema, index_params=index)
    client.load_collection(name)
    for part in parts:
        client.upsert(name, part)
        client.flush(name)


def search(client: MilvusClient, name: str) -> list[tuple[str, float]]:
    hits = client.search(name, ["word150 word3 word77"], anns_field="lexical", limit=10)[0]
    return [(hit["id"], round(hit["distance"], 4)) for hit in hits]
