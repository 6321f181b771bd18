"""One channel per service, opened when it is first needed."""

from __future__ import annotations

import json
from typing import TypedDict

import grpc

from gyre_client.settings import ClientSettings

Metadata = tuple[tuple[str, str], ...]


class CallOptions(TypedDict):
    """What every unary call is given."""

    metadata: Metadata
    timeout: float


_RETRY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "loadBalancingConfig": [{"round_robin": {}}],
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_RETRY)),
    ("grpc.keepalive_time_ms", 30_000),
    # gRPC's own pauses grow to two minutes: a caller would miss a service that is back for so long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 16 << 20),
)


class Channels:
    """Channels by address, all with the same credentials."""

    def __init__(self, settings: ClientSettings) -> None:
        self._tls = settings.tls
        self._open: dict[str, grpc.aio.Channel] = {}
        self.metadata: Metadata = (
            ("authorization", f"Bearer {settings.api_key.get_secret_value()}"),
        )

    def to(self, address: str) -> grpc.aio.Channel:
        """The channel to `address`."""
        if address not in self._open:
            self._open[address] = self._channel(address)
        return self._open[address]

    def _channel(self, address: str) -> grpc.aio.Channel:
        if self._tls:
            credentials = grpc.ssl_channel_credentials()
            return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
        return grpc.aio.insecure_channel(address, options=_OPTIONS)

    async def close(self) -> None:
        """Closes them all; may be repeated."""
        while self._open:
            await self._open.popitem()[1].close()
