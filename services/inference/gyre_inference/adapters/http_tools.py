"""HTTP tools (httpx): no redirects, no proxies, answers of a limited size."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping

import httpx
from gyre_runtime.telemetry import tracer
from pydantic import SecretStr

from gyre_inference.adapters.addresses import AddressRefused, Allowed
from gyre_inference.domain.faults import DeadlinePassed, InvalidRequest, Unavailable
from gyre_inference.ports import HttpCall

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
Secrets = Mapping[str, Mapping[str, SecretStr]]


class HttpxTools:
    """`HttpTools`. secrets: headers by host, which definitions do not hold."""

    def __init__(self, allowed: Allowed, secrets: Secrets, *, most: int = 256 * 1024) -> None:
        """most: bytes of an answer."""
        self._allowed = allowed
        self._secrets = secrets
        self._most = most

    async def call(self, call: HttpCall) -> dict[str, object]:
        """See `HttpTools`."""
        host = httpx.URL(call.url).host if _is_url(call.url) else ""
        try:
            with tracer(__name__).start_as_current_span("http tool", attributes={"host": host}):
                async with asyncio.timeout(call.seconds):
                    return await self._call(call)
        except AddressRefused as refused:
            raise InvalidRequest({"url": str(refused)}) from refused
        except TimeoutError as error:
            raise DeadlinePassed(f"the tool at {host!r} took too long") from error
        except httpx.HTTPError as error:
            told = f"the tool at {host!r} cannot be reached: {type(error).__name__}"
            raise Unavailable(told, retry_after=1.0) from error

    async def _call(self, call: HttpCall) -> dict[str, object]:
        if call.method not in _METHODS:
            raise InvalidRequest({"method": f"must be one of {', '.join(_METHODS)}"})
        if not _is_url(call.url):
            raise InvalidRequest({"url": "is no address"})
        url = httpx.URL(call.url)
        where = url.copy_with(host=await self._allowed.ip_of(url))
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            request = client.build_request(
                call.method,
                where,
                headers=self._headers(call, url),
                json=call.body,
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            response = await client.send(request, stream=True)
            try:
                return _told(response, await self._read(response), url.host)
            finally:
                await response.aclose()

    def _headers(self, call: HttpCall, url: httpx.URL) -> dict[str, str]:
        for name, value in call.headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OURS or not value.isprintable():
                raise InvalidRequest({"headers": f"{name!r:.80} may not be set"})
        secrets = self._secrets.get(url.host, {})
        return {
            **call.headers,
            **{name: secret.get_secret_value() for name, secret in secrets.items()},
            "Host": url.netloc.decode("ascii"),
            "Idempotency-Key": call.key,
        }

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > self._most:
                raise Unavailable(f"the tool says more than {self._most} bytes")
        return bytes(content)


def _told(response: httpx.Response, content: bytes, host: str) -> dict[str, object]:
    if response.status_code >= 500:
        raise Unavailable(f"the tool at {host!r} failed: {response.status_code}", retry_after=1.0)
    text = content.decode(response.encoding or "utf-8", "replace")
    body: object = text
    if "json" in response.headers.get("content-type", ""):
        try:
            body = json.loads(text)
        except ValueError:
            body = text
    return {"status": response.status_code, "body": body}


def _is_url(address: str) -> bool:
    try:
        return bool(httpx.URL(address).host)
    except (httpx.InvalidURL, UnicodeError, TypeError):
        return False
