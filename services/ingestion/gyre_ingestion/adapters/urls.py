"""Fetches documents from http(s) addresses (library: httpx)."""

from collections.abc import AsyncIterator, Sequence

import httpx

from gyre_ingestion.adapters.addresses import AddressError, Gate
from gyre_ingestion.ports import Found, ImportRefusedError

_MAX_REDIRECTS = 5


class UrlImporter:
    """One address after the other; each redirect passes the gate again, on the same host only."""

    def __init__(self, gate: Gate, max_bytes: int, patience: float = 30.0) -> None:
        self._gate = gate
        self._max_bytes = max_bytes
        self._patience = patience

    async def fetch(self, place: Sequence[str]) -> AsyncIterator[Found]:
        """`place` is a list of addresses. Raises `ImportRefusedError` when no host is allowed."""
        if not self._gate.hosts:
            raise ImportRefusedError("no host is allowed: set GYRE_IMPORT_HOSTS on the service")
        async with httpx.AsyncClient(timeout=self._patience, trust_env=False) as client:
            for address in place:
                yield await self._fetch(client, address)

    async def _fetch(self, client: httpx.AsyncClient, address: str) -> Found:
        try:
            return Found(address, await self._content(client, address))
        except AddressError as refused:
            return Found(address, error=str(refused))
        except httpx.HTTPError as error:
            return Found(address, error=f"it cannot be fetched: {type(error).__name__}")

    async def _content(self, client: httpx.AsyncClient, address: str) -> bytes:
        target = await self._gate.check(address)
        for _ in range(_MAX_REDIRECTS + 1):
            response = await client.send(target.request(client), stream=True)
            try:
                if not response.is_redirect:
                    return await self._read(response)
                following = target.url.join(response.headers["location"])
            finally:
                await response.aclose()
            if following.host != target.url.host:
                raise AddressError(f"it leads to another host, {following.host!r}: name that one")
            target = await self._gate.check(str(following))
        raise AddressError(f"it leads on more than {_MAX_REDIRECTS} times")

    async def _read(self, response: httpx.Response) -> bytes:
        if not response.is_success:
            raise AddressError(f"its server answered {response.status_code}")
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > self._max_bytes:
                raise AddressError(f"is larger than the {self._max_bytes} bytes allowed")
        return bytes(content)
