"""The bus: names, listeners, publishing, and the promises of delivery."""

from gyre_runtime.bus.bus import Bus
from gyre_runtime.bus.listeners import Listeners, Subscription
from gyre_runtime.bus.publishing import NotPublished
from gyre_runtime.events.envelope import Delivery, Envelope, event_id
from gyre_runtime.events.names import durable_of, stream_of, subject_of
from gyre_runtime.failures import PermanentError

__all__ = [
    "Bus",
    "Delivery",
    "Envelope",
    "Listeners",
    "NotPublished",
    "PermanentError",
    "Subscription",
    "durable_of",
    "event_id",
    "stream_of",
    "subject_of",
]
