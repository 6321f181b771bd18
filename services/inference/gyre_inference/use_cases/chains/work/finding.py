"""Steps that find: retrieve, select."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.passages import Found, SearchFilter
from gyre_inference.domain.requests import COLLECTION
from gyre_inference.ports import PassageSearch
from gyre_inference.use_cases.chains.events import StepEvent
from gyre_inference.use_cases.chains.run import Doing
from gyre_inference.use_cases.chains.running import Steps
from gyre_inference.use_cases.choosing import Chooser

_QUERY = 4096
_MOST = 50


class Retrieve:
    """Passages of one collection of the caller's tenant."""

    def __init__(self, search: PassageSearch, top_k: int) -> None:
        self._search = search
        self._top_k = top_k

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        given = doing.given
        query, collection = str(given["query"]), str(given.get("collection") or "default")
        top_k = int(given.get("top_k") or self._top_k)  # type: ignore[call-overload]
        _check(doing.step_id, query, collection, top_k)
        found = await self._search.search(query, collection, _filter(doing), top_k)
        doing.run.ledger.know(
            passages=found.passages, index_version=found.index_version, collection=collection
        )
        doing.output = found
        return
        yield  # a generator without events


class Select:
    """The few sentences that bear on the question, as many as the prompt `for` wants."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser

    async def __call__(self, doing: Doing, runner: Steps) -> AsyncGenerator[StepEvent]:
        """See `Work`."""
        found = doing.given["found"]
        if not isinstance(found, Found):
            raise InvalidRequest({f"{doing.step_id}.found": "must come from a `retrieve` step"})
        writer = str(doing.given.get("for") or doing.run.chain.output)
        writing = doing.run.writings.get(writer)
        grounding = writing.prompt.content.grounding if writing and writing.prompt else None
        if grounding is None:
            raise InvalidRequest(
                {f"{doing.step_id}.for": "must name a step whose prompt has a grounding"}
            )
        grounds = await self._chooser.choose(str(doing.given["question"]), found, grounding)
        for guard, verdict in grounds.verdicts.items():
            doing.run.ledger.judge(guard, verdict)
        doing.output = grounds
        return
        yield


def _check(step_id: str, query: str, collection: str, top_k: int) -> None:
    broken: dict[str, str] = {}
    if not query.strip() or len(query) > _QUERY:
        broken[f"{step_id}.query"] = f"must have 1 to {_QUERY} characters"
    if not COLLECTION.fullmatch(collection):
        broken[f"{step_id}.collection"] = "must match [a-z0-9_-]{1,64}"
    if not 1 <= top_k <= _MOST:
        broken[f"{step_id}.top_k"] = f"must be 1 to {_MOST}"
    if broken:
        raise InvalidRequest(broken)


def _filter(doing: Doing) -> SearchFilter:
    given = doing.given.get("filter") or {}
    if isinstance(given, SearchFilter):
        return given
    if not isinstance(given, Mapping) or given.keys() - {"document_ids", "languages", "metadata"}:
        raise InvalidRequest(
            {f"{doing.step_id}.filter": "may have document_ids, languages and metadata"}
        )
    metadata = given.get("metadata") or {}
    return SearchFilter(
        document_ids=tuple(map(str, given.get("document_ids") or ())),
        languages=tuple(map(str, given.get("languages") or ())),
        metadata=tuple(sorted((str(k), str(v)) for k, v in metadata.items())),
    )
