"""The shape of a physical index."""

from __future__ import annotations

from dataclasses import dataclass

from gyre_retrieval.adapters.milvus.vendor import (
    CollectionSchema,
    DataType,
    Function,
    FunctionType,
    IndexParams,
    MilvusClient,
)
from gyre_retrieval.domain.index import Index

LARGEST_TEXT = 65_535
LARGEST_LABELS = 16_384
MARKS = ("scope", "document", "version", "chunk")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How Milvus searches.

    dense: FLAT is exact; HNSW is faster above some 100,000 passages, on standalone or distributed.
    k1, b: BM25's saturation and length normalisation.
    """

    dense: str = "FLAT"
    k1: float = 1.2
    b: float = 0.75


def make_collection(client: MilvusClient, index: Index, how: IndexSettings, timeout: float) -> None:
    client.create_collection(
        index.name,
        schema=_schema(index),
        index_params=_index_params(how),
        consistency_level="Bounded",
        timeout=timeout,
    )


def _schema(index: Index) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    for mark in MARKS:
        schema.add_field(mark, DataType.VARCHAR, max_length=64)
    schema.add_field("labels", DataType.VARCHAR, max_length=LARGEST_LABELS)
    schema.add_field("payload", DataType.VARCHAR, max_length=LARGEST_TEXT)
    schema.add_field(
        "terms",
        DataType.VARCHAR,
        max_length=LARGEST_TEXT,
        enable_analyzer=True,
        analyzer_params={"tokenizer": "standard"},
    )
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=index.dimension)
    schema.add_field("lexical", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(
            name="bm25",
            function_type=FunctionType.BM25,
            input_field_names=["terms"],
            output_field_names=["lexical"],
        )
    )
    return schema


def _index_params(how: IndexSettings) -> IndexParams:
    params = MilvusClient.prepare_index_params()
    params.add_index("dense", index_type=how.dense, metric_type="COSINE", params=_dense(how))
    params.add_index(
        "lexical",
        index_type="SPARSE_INVERTED_INDEX",
        metric_type="BM25",
        params={"bm25_k1": how.k1, "bm25_b": how.b},
    )
    return params


def _dense(how: IndexSettings) -> dict[str, int]:
    return {"M": 16, "efConstruction": 200} if how.dense == "HNSW" else {}
