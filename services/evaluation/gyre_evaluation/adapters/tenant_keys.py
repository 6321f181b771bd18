"""Keys with which a tenant's runs ask the other services."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from gyre_evaluation.domain.errors import NotPossible


class TenantKeys:
    """A run goes on long after the call that started it, so it cannot use the caller's key."""

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = keys

    def metadata(self, tenant: str) -> tuple[tuple[str, str], ...]:
        """Raises `NotPossible`."""
        key = self._keys.get(tenant)
        if key is None:
            raise NotPossible(
                "evaluation has no key of this tenant: name one in GYRE_EVALUATION_KEYS"
            )
        return (("authorization", f"Bearer {key.get_secret_value()}"),)
