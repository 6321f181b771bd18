"""Which addresses a chain may call: allowed hosts, and no way into the private network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(Exception):
    """The address may not be called; the message says why, for people."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """All IP addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True)
class Allowed:
    """hosts: names, or `*.example.org` for all below it. private: may they be in a private
    network."""

    hosts: frozenset[str]
    private: bool = False
    resolve: Resolve = resolve

    async def ip_of(self, url: httpx.URL) -> str:
        """The address to connect to: the name cannot mean another one a moment later.

        Raises `AddressRefused`.
        """
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise AddressRefused("only http and https addresses without a password are called")
        if not any(_matches(url.host, host.lower()) for host in self.hosts):
            raise AddressRefused(f"the host {url.host!r} is not in GYRE_CHAIN_HTTP_HOSTS")
        try:
            found = await self.resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError):
            raise AddressRefused(f"the host {url.host!r} is not known") from None
        if not found or not all(self._is_open(ip) for ip in found):
            raise AddressRefused(f"the host {url.host!r} is in a private network")
        return found[0]

    def _is_open(self, ip: str) -> bool:
        address = ipaddress.ip_address(ip.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return self.private or (address.is_global and not address.is_multicast)


def _matches(host: str, allowed: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed
