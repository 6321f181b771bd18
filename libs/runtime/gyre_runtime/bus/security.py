"""Access to the bus, in FastStream's words."""

from __future__ import annotations

from faststream.nats.security import NatsCredentials, NatsSecurity, NatsUserPassword
from faststream.security import BaseSecurity

from gyre_runtime.access import connect_options
from gyre_runtime.settings import RuntimeSettings


def security_of(settings: RuntimeSettings) -> BaseSecurity | None:
    """See `connect_options`."""
    options = connect_options(settings)
    context = options.get("tls")
    if file := options.get("user_credentials"):
        return NatsCredentials(file, ssl_context=context)
    if user := options.get("user"):
        return NatsUserPassword(user, options["password"], ssl_context=context)
    return NatsSecurity(ssl_context=context) if context else None
