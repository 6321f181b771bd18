"""Milvus: standalone, distributed, or Milvus Lite's server."""

from gyre_retrieval.adapters.milvus.index import MilvusVectorIndex
from gyre_retrieval.adapters.milvus.schema import IndexSettings

__all__ = ["IndexSettings", "MilvusVectorIndex"]
