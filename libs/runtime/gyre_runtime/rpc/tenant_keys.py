"""Keys with which work that outlives the call that asked for it asks other services."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import SecretStr


class TenantKeys:
    """One key for each tenant, since the caller's own is gone by then. missing: what to raise for a
    tenant without one, in the words of the service."""

    def __init__(self, keys: Mapping[str, SecretStr], missing: Callable[[], Exception]) -> None:
        self._keys, self._missing = keys, missing

    def metadata(self, tenant: str) -> tuple[tuple[str, str], ...]:
        """Of a call for the tenant. Raises what `missing` makes."""
        key = self._keys.get(tenant)
        if key is None:
            raise self._missing()
        return (("authorization", f"Bearer {key.get_secret_value()}"),)
