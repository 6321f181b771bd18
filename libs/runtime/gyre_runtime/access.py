"""What a process shows to be let onto the bus, from its settings."""

from __future__ import annotations

import ssl
from typing import Any

from gyre_runtime.settings import RuntimeSettings


def connect_options(settings: RuntimeSettings) -> dict[str, Any]:
    """Options of `nats.connect`: TLS where an authority is set; a certificate, a credentials file
    or a password as identity.

    Raises OSError or ssl.SSLError where a file cannot be read.
    """
    password = settings.nats_password
    options: dict[str, Any] = {"tls": _context(settings)}
    if settings.nats_credentials_file:
        options["user_credentials"] = settings.nats_credentials_file
    elif settings.nats_user and password:
        options |= {"user": settings.nats_user, "password": password.get_secret_value()}
    return {name: value for name, value in options.items() if value is not None}


def _context(settings: RuntimeSettings) -> ssl.SSLContext | None:
    if settings.nats_tls_ca_file is None:
        return None
    context = ssl.create_default_context(cafile=settings.nats_tls_ca_file)
    if settings.nats_tls_cert_file:
        context.load_cert_chain(settings.nats_tls_cert_file, settings.nats_tls_key_file)
    return context
