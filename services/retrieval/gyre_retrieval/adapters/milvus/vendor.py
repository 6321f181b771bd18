"""pymilvus without pandas: 80 MB of memory and a part of the start less.

TRAP: pymilvus 3.0 imports pandas, which imports pyarrow where it is installed, for type hints, for
`isinstance(data, DataFrame)`, and for functions by which its older interface guesses types.
`MilvusClient` with a schema and rows asks for none of them. So while pymilvus is imported, modules
stand in pandas' place that refuse every use. Afterwards they are gone: whoever imports pandas then
gets pandas. Import what you need of pymilvus from here only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

PLACES = ("pandas", "pandas.api", "pandas.api.types")


class LeftOut:
    """Whatever pymilvus takes from pandas: a class of which there are no objects."""

    def __new__(cls, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("pymilvus asked for pandas, which gyre_retrieval leaves out of it")


@contextmanager
def _without_pandas() -> Iterator[None]:
    if "pandas" in sys.modules:
        yield
        return
    sys.modules.update((name, _stand_in(name)) for name in PLACES)
    try:
        yield
    finally:
        for name in PLACES:
            del sys.modules[name]


def _stand_in(name: str) -> ModuleType:
    module: Any = ModuleType(name)
    module.__path__ = []
    module.__getattr__ = lambda _: LeftOut
    return module  # type: ignore[no-any-return]


with _without_pandas():
    from pymilvus import (
        AsyncMilvusClient,
        CollectionSchema,
        DataType,
        Function,
        FunctionType,
        MilvusClient,
        MilvusException,
    )
    from pymilvus.exceptions import ErrorCode
    from pymilvus.milvus_client.index import IndexParams

__all__ = [
    "AsyncMilvusClient",
    "CollectionSchema",
    "DataType",
    "ErrorCode",
    "Function",
    "FunctionType",
    "IndexParams",
    "MilvusClient",
    "MilvusException",
]
