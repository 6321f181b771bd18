"""Alarms reach a real HTTP endpoint, signed so that the receiver can tell whose they are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
from gyre_evaluation.adapters.webhook import WebhookReceiver
from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity
from gyre_evaluation.ports import NotDelivered
from live_world import NOON

KEY = b"a secret of thirty-two bytes, ok"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ALERT = Alert(
    "acme",
    AlertKind.INJECTION,
    Severity.CRITICAL,
    NOON,
    "3 attempts within 10 min",
    principal="shop",
    until=NOON + timedelta(minutes=15),
    answer_ids=("a1", "a2"),
)


@dataclass
class Endpoint:
    """An HTTP server that keeps what it is told and answers with `status`."""

    url: str = ""
    status: int = 204
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        headers = dict(line.lower().split(": ", 1) for line in head if line)
        sent = {name: line.split(": ", 1)[1] for name, line in zip(headers, head, strict=False)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((sent, body))
        writer.write(f"HTTP/1.1 {self.status} x\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made


@pytest.fixture
async def receiver(endpoint: Endpoint) -> AsyncIterator[WebhookReceiver]:
    async with httpx.AsyncClient(timeout=5) as client:
        yield WebhookReceiver(client, endpoint.url, SECRET, clock=lambda: 1_800_000_000.5)


async def test_an_alarm_arrives_with_a_signature_that_the_receiver_can_check(
    endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    await receiver.deliver("event-1", ALERT)
    ((headers, body),) = endpoint.requests
    assert headers["webhook-id"] == "event-1"
    assert headers["webhook-timestamp"] == "1800000000"
    signed = b"event-1.1800000000." + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_an_alarm_says_what_happened_to_whom(
    endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    await receiver.deliver("event-1", ALERT)
    told = json.loads(endpoint.requests[0][1])
    assert told["type"] == "alert.injection"
    assert told["timestamp"] == "2026-05-04T12:00:00+00:00"
    assert told["data"] == {
        "alert_id": ALERT.alert_id,
        "tenant": "acme",
        "kind": "injection",
        "severity": "critical",
        "raise_time": "2026-05-04T12:00:00+00:00",
        "until": "2026-05-04T12:15:00+00:00",
        "detail": "3 attempts within 10 min",
        "principal": "shop",
        "answer_ids": ["a1", "a2"],
    }


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_an_endpoint_that_does_not_take_it_is_asked_again(
    endpoint: Endpoint, receiver: WebhookReceiver, status: int
) -> None:
    endpoint.status = status
    with pytest.raises(NotDelivered, match=str(status)):
        await receiver.deliver("event-1", ALERT)


async def test_an_endpoint_that_is_away_is_asked_again() -> None:
    async with httpx.AsyncClient(timeout=1) as client:
        receiver = WebhookReceiver(client, "http://127.0.0.1:9/hook", "words")
        with pytest.raises(NotDelivered, match="ConnectError"):
            await receiver.deliver("event-1", ALERT)
