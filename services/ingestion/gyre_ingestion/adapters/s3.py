"""Originals in a bucket that speaks the S3 protocol (library: obstore)."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from gyre_ingestion.domain.documents import Content
from gyre_ingestion.ports import ContentMissingError, ContentsUnavailableError


class S3ContentStore:
    """One object per original, `<tenant>/<sha256>`, written whole or not at all."""

    def __init__(self, store: S3Store, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    async def put(self, tenant: str, sha256: str, body: BinaryIO, size_bytes: int) -> Content:
        name = f"{tenant}/{sha256}"
        # One request: a multipart upload that is killed would leave its parts behind.
        try:
            await obstore.put_async(self._store, name, body.read(), use_multipart=False)
        except BaseError as error:
            raise ContentsUnavailableError("the bucket of originals does not answer") from error
        return Content(f"s3://{self._bucket}/{name}", sha256, size_bytes)

    async def get(self, content: Content) -> bytes:
        prefix = f"s3://{self._bucket}/"
        if not content.uri.startswith(prefix):
            raise ContentMissingError(f"{content.uri} is not in the object store in use")
        try:
            found = await obstore.get_async(self._store, content.uri.removeprefix(prefix))
            data = bytes(await found.bytes_async())
        except FileNotFoundError:
            raise ContentMissingError(f"{content.uri} is not there") from None
        if hashlib.sha256(data).hexdigest() != content.sha256:
            raise ContentMissingError(f"{content.uri} is not what was stored")
        return data

    async def names(self) -> AsyncIterator[tuple[str, str]]:
        async for batch in obstore.list(self._store):
            for found in batch:
                tenant, _, sha256 = found["path"].partition("/")
                yield tenant, sha256

    async def remove_unless_fresh(self, tenant: str, sha256: str, moment: datetime) -> bool:
        # S3 has no conditional deletion: a put of the same bytes within this round trip could be
        # undone. It would need an unused original, older than the sweeper's grace, to come again.
        name = f"{tenant}/{sha256}"
        try:
            known = await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return False
        if known["last_modified"] > moment:
            return False
        await obstore.delete_async(self._store, name)
        return True

    async def remove_fragments(self, moment: datetime) -> int:
        return 0  # a put is one request: it leaves nothing behind
