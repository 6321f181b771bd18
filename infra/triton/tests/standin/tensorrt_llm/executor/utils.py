"""Errors."""

from __future__ import annotations


class RequestError(RuntimeError):
    """One request failed; the engine lives on."""


class CppExecutorError(RuntimeError):
    """The engine failed; it answers nobody after that."""
