"""Who calls: a credential in, a principal out. Never a field of a message."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from gyre_runtime.events.names import TOKEN
from gyre_runtime.settings import ApiKey, RuntimeSettings

ADMIN = "admin"


class Unauthenticated(Exception):
    """The credential is missing or not valid; the message says what to send."""


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    tenant: str
    name: str
    roles: frozenset[str]

    def may(self, roles: frozenset[str]) -> bool:
        return ADMIN in self.roles or bool(self.roles & roles)


_current: ContextVar[Principal | None] = ContextVar("gyre_principal", default=None)


def current_principal() -> Principal:
    """The caller of the RPC being served; raises LookupError outside of one."""
    principal = _current.get()
    if principal is None:
        raise LookupError("no RPC is being served here")
    return principal


def set_current_principal(principal: Principal | None) -> None:
    """For the RPC door, and for tests of a servicer without its server."""
    _current.set(principal)


class Authenticator:
    """Turns the `authorization` metadata into a principal by API key or JWT."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._keys = {_digest_of(key): owner for key, owner in settings.api_keys.items()}

    def principal(self, authorization: str | None) -> Principal:
        """Raises `Unauthenticated`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send metadata `authorization: Bearer <API key or JWT>`")
        owner = self._keys.get(_sha256(token))
        return _of_key(owner) if owner else self._of_jwt(token)

    def _of_jwt(self, token: str) -> Principal:
        if self._settings.jwt_public_key is None or token.count(".") != 2:
            raise Unauthenticated("the API key is not known")
        claims = self._claims(token, self._settings.jwt_public_key)
        tenant = str(claims.get(self._settings.jwt_tenant_claim, ""))
        if not TOKEN.fullmatch(tenant):
            raise Unauthenticated("the token names no valid tenant")
        roles = claims.get(self._settings.jwt_roles_claim, [])
        return Principal(tenant, str(claims["sub"]), frozenset(map(str, roles)))

    def _claims(self, token: str, key: str) -> dict[str, Any]:
        import jwt  # heavy (cryptography), so only where tokens are used

        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(self._settings.jwt_algorithms),
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                options={"require": ["exp", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is refused: {error}") from error


def _of_key(owner: ApiKey) -> Principal:
    return Principal(owner.tenant, owner.principal, owner.roles)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of(key: str) -> str:
    """Keys may be given as their digest, so that settings hold no secret."""
    prefix, _, digest = key.partition(":")
    return digest.lower() if prefix == "sha256" else _sha256(key)
