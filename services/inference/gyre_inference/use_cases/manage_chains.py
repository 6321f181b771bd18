"""Chains are registered and looked at."""

from __future__ import annotations

from gyre_inference.domain.chain_text import NamesOf, chain_of
from gyre_inference.domain.chains import Chain
from gyre_inference.domain.registry import Draft, Version
from gyre_inference.use_cases.versions import Versions

_UNNUMBERED = "0"


class ManageChains:
    """What people do with chains. names_of: the names that a template uses."""

    def __init__(self, versions: Versions, names_of: NamesOf) -> None:
        self.versions = versions
        self._names_of = names_of

    def draft(
        self, definition: str, message: str, author: str, labels: tuple[str, ...]
    ) -> tuple[str, Draft]:
        """The chain's name and a version to keep. Raises `InvalidRequest`."""
        chain = chain_of(definition, _UNNUMBERED, self._names_of)
        return chain.name, Draft(definition, chain.digest, message, author, labels)


def chain_in(version: Version, names_of: NamesOf) -> Chain:
    """The version, ready to be run."""
    return chain_of(version.body, str(version.number), names_of)
