"""Order and fusion. Equal scores are ordered by place, so a repeated search gives the same list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gyre_retrieval.domain.passage import Passage
from gyre_retrieval.domain.query import Found, Hit, Mode, Route, RouteScore

Ranking = Sequence[Found]
Place = tuple[str, int, str]


class FusionMethod(StrEnum):
    """What of a route's list counts: its scores, or only the ranks."""

    SCORES = "scores"
    RANKS = "ranks"


@dataclass(frozen=True, slots=True)
class Fusion:
    """SCORES: the sum of weight * score / the route's best score; 0 to the sum of the weights.

    RANKS: reciprocal ranks, the sum of weight / (k + rank). A route that did not find a passage
    adds nothing. depth: how many passages of each route take part, at least.
    """

    method: FusionMethod
    weights: Mapping[Route, float]
    depth: int
    k: float = 60.0

    def fused(self, scores: Mapping[Route, RouteScore], best: Mapping[Route, float]) -> float:
        """best: the best score of each route."""
        if self.method is FusionMethod.RANKS:
            return sum(self.weights[route] / (self.k + one.rank) for route, one in scores.items())
        return sum(
            self.weights[route] * max(one.score, 0.0) / best[route]
            for route, one in scores.items()
            if best[route] > 0.0
        )


def in_order(found: Iterable[Found]) -> list[Found]:
    return sorted(found, key=lambda one: (-one.score, *_place(one.passage)))


def hits_of(mode: Mode, rankings: Mapping[Route, Ranking], fusion: Fusion) -> list[Hit]:
    """One list of all that the routes found, best first, on the mode's scale."""
    found: dict[Place, tuple[Passage, dict[Route, RouteScore]]] = {}
    for route, ranking in rankings.items():
        for rank, one in enumerate(ranking, start=1):
            _, routes = found.setdefault(_place(one.passage), (one.passage, {}))
            routes[route] = RouteScore(one.score, rank)
    best = {route: ranking[0].score for route, ranking in rankings.items() if ranking}
    scored = [(-_score(mode, routes, fusion, best), place) for place, (_, routes) in found.items()]
    return [Hit(found[place][0], -score, found[place][1]) for score, place in sorted(scored)]


def _score(
    mode: Mode,
    scores: Mapping[Route, RouteScore],
    fusion: Fusion,
    best: Mapping[Route, float],
) -> float:
    return fusion.fused(scores, best) if mode is Mode.HYBRID else scores[Route(mode.value)].score


def _place(passage: Passage) -> Place:
    return passage.document.document_id, passage.chunk.ordinal, passage.chunk.chunk_id
