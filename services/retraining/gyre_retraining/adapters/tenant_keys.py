"""Keys with which a tenant's trainings ask the other services."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from gyre_retraining.domain.trainings import TrainingImpossible


class TenantKeys:
    """A training is nobody's call, so it cannot use a caller's key."""

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = keys

    def metadata(self, tenant: str) -> tuple[tuple[str, str], ...]:
        """Raises `TrainingImpossible`."""
        key = self._keys.get(tenant)
        if key is None:
            detail = "retraining has no key of this tenant: name one in GYRE_RETRAINING_KEYS"
            raise TrainingImpossible("no_key", detail)
        return (("authorization", f"Bearer {key.get_secret_value()}"),)
