"""Which addresses may be fetched: allowed hosts, and no way into the private network."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressError(Exception):
    """The address may not be fetched; the message says why, for people."""


@dataclass(frozen=True)
class Target:
    """An address that was checked, and the IP address that it was checked for."""

    url: httpx.URL
    ip: str

    def request(self, client: httpx.AsyncClient) -> httpx.Request:
        """Goes to the checked IP address: the name cannot mean another one a moment later."""
        headers = {"Host": self.url.netloc.decode("ascii")}
        extensions = {"sni_hostname": self.url.raw_host.decode("ascii")}
        where = self.url.copy_with(host=self.ip)
        return client.build_request("GET", where, headers=headers, extensions=extensions)


async def resolve(host: str, port: int) -> Sequence[str]:
    """All IP addresses of a host."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True)
class Gate:
    """hosts: names, `*.example.org` stands for all below it."""

    hosts: Sequence[str]
    allow_private: bool = False
    resolve: Resolve = resolve

    async def check(self, address: str) -> Target:
        """Raises `AddressError`."""
        url = _parsed(address)
        if not any(_matches(url.host, host) for host in self.hosts):
            raise AddressError(f"the host {url.host!r} is not in GYRE_IMPORT_HOSTS")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self.resolve(url.host, port)
        except (OSError, UnicodeError):
            raise AddressError(f"the host {url.host!r} is not known") from None
        if not found or not all(self._is_open(ip) for ip in found):
            raise AddressError(f"the host {url.host!r} is in a private network")
        return Target(url, found[0])

    def _is_open(self, ip: str) -> bool:
        address = ipaddress.ip_address(ip.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return self.allow_private or (mapped.is_global and not mapped.is_multicast)


def _parsed(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, UnicodeError, TypeError):
        raise AddressError("it is no address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise AddressError("only http and https addresses are fetched")
    if url.userinfo:
        raise AddressError("an address with a password in it is not fetched")
    return url


def _matches(host: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:].lower())
    return host == allowed.lower()
