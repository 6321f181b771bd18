"""Fetches documents from a bucket that speaks the S3 protocol (library: obstore)."""

from collections.abc import AsyncIterator, Callable, Sequence

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from gyre_ingestion.ports import Found, ImportRefusedError

OpenBucket = Callable[[str], S3Store]


class BucketImporter:
    """Objects of the buckets that the settings allow, in the order in which S3 lists them."""

    def __init__(self, allowed: Sequence[str], open_bucket: OpenBucket, max_bytes: int) -> None:
        self._allowed = frozenset(allowed)
        self._open = open_bucket
        self._max_bytes = max_bytes

    async def fetch(self, place: Sequence[str]) -> AsyncIterator[Found]:
        """`place` is a bucket and a prefix of keys. Raises `ImportRefusedError`."""
        bucket, prefix = place
        if bucket not in self._allowed:
            raise ImportRefusedError(f"the bucket {bucket!r} is not in GYRE_IMPORT_BUCKETS")
        store = self._open(bucket)
        # S3Store's own prefix ends at a slash; any prefix of a key is meant here.
        try:
            async for batch in obstore.list(store):
                for found in batch:
                    if found["path"].startswith(prefix):
                        yield await self._read(store, bucket, found["path"], found["size"])
        except BaseError as error:
            raise ImportRefusedError(f"the bucket {bucket!r} cannot be listed") from error

    async def _read(self, store: S3Store, bucket: str, key: str, size: int) -> Found:
        name = f"s3://{bucket}/{key}"
        if size > self._max_bytes:
            return Found(name, error=f"is larger than the {self._max_bytes} bytes allowed")
        try:
            found = await obstore.get_async(store, key)
            content = bytes(await found.bytes_async())
        except (BaseError, FileNotFoundError) as error:
            return Found(name, error=f"it cannot be fetched: {type(error).__name__}")
        return Found(name, content)
