"""Alarms to an HTTP endpoint, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

import httpx
import orjson

from gyre_evaluation.domain.alerts import Alert
from gyre_evaluation.ports import NotDelivered

SECRET_PREFIX = "whsec_"
TAKEN = range(200, 300)


class WebhookReceiver:
    """See `AlarmReceiver`. Headers `webhook-id`, `webhook-timestamp` and `webhook-signature`
    (`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`): receivers have ready-made checks
    for these, and drop what they know by its id.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        secret: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """secret: `whsec_` and base64, or any text."""
        self._client = client
        self._url = url
        self._key = _key(secret)
        self._clock = clock

    async def deliver(self, delivery_id: str, alert: Alert) -> None:
        body = _body(alert)
        stamp = str(int(self._clock()))
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._key, delivery_id, stamp, body),
        }
        try:
            reply = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise NotDelivered(f"the webhook does not answer: {type(error).__name__}") from error
        if reply.status_code not in TAKEN:
            raise NotDelivered(f"the webhook answered {reply.status_code}")


def signature(key: bytes, delivery_id: str, stamp: str, body: bytes) -> str:
    signed = b".".join((delivery_id.encode(), stamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return secret.encode()


def _body(alert: Alert) -> bytes:
    """`type`, `timestamp` and `data`, as the specification wants it."""
    data = {key: value for key, value in asdict(alert).items() if value not in ("", None, ())}
    told = {
        "type": f"alert.{alert.kind}",
        "timestamp": alert.raise_time,
        "data": data | {"alert_id": alert.alert_id},
    }
    return orjson.dumps(told, default=_plain)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
