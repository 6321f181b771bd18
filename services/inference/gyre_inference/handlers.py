"""The bus door: what evaluation finds out about callers is acted on."""

from __future__ import annotations

from datetime import UTC

from gyre.evaluation.v1.events_pb2 import AlertAcknowledged, AlertKind, AlertRaised
from gyre_runtime.bus import Delivery, Listeners

from gyre_inference.domain.throttles import Throttle
from gyre_inference.use_cases.throttling import Throttling

REASONS = {
    AlertKind.ALERT_KIND_INJECTION: "attempts to change the instructions",
    AlertKind.ALERT_KIND_EXTRACTION: "attempts to get at the prompt or at others' data",
    AlertKind.ALERT_KIND_VOLUME: "an unusual number of requests",
}


def listeners(throttling: Throttling) -> Listeners:
    """What this service hears."""
    heard = Listeners("inference")

    @heard.on(AlertRaised)
    async def on_alert_raised(event: AlertRaised, delivery: Delivery) -> None:
        if event.principal and event.HasField("until") and event.kind in REASONS:
            await throttling.hold(_throttle(event, delivery.tenant))

    @heard.on(AlertAcknowledged)
    async def on_alert_acknowledged(event: AlertAcknowledged, delivery: Delivery) -> None:
        if event.principal:
            await throttling.lift(delivery.tenant, event.alert_id)

    return heard


def _throttle(event: AlertRaised, tenant: str) -> Throttle:
    return Throttle(
        alert_id=event.alert_id,
        tenant=tenant,
        principal=event.principal,
        end_user=event.end_user,
        until=event.until.ToDatetime(UTC),
        reason=REASONS[event.kind],
    )
