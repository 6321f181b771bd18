"""Measures of rankings as trec_eval computes them (library: ir-measures)."""

from __future__ import annotations

import ir_measures
from ir_measures import AP, RR, P, R, nDCG

from gyre_evaluation.domain.metrics.case import Case, Evidence

MEASURES = {
    "ndcg_at_10": nDCG @ 10,
    "mrr_at_10": RR @ 10,
    "average_precision": AP,
    "recall_at_10": R @ 10,
    "precision_at_5": P @ 5,
}


def ranked_ids(case: Case) -> list[str]:
    """What the passages count as, in order: chunks, sections or documents, whichever are relevant.

    A section or a document counts once, at its best passage; all count as what the finest of
    the relevant ones among them is.
    """
    relevant = case.relevant_ids
    by_chunk = any(one.chunk_id in relevant for one in case.passages)
    by_section = any(not relevant.isdisjoint(one.sections) for one in case.passages)

    def named(one: Evidence) -> str:
        names = (one.chunk_id, *one.sections, *one.documents)
        for name in names:
            if name in relevant:
                return name
        if by_chunk and one.chunk_id:
            return one.chunk_id
        return next(iter((*one.sections[: int(by_section)], *one.documents, one.chunk_id)))

    return list(dict.fromkeys(map(named, case.passages)))


def ranking_scores(case: Case) -> dict[str, float]:
    """Every measure of MEASURES."""
    names = ranked_ids(case)
    if not names:
        return dict.fromkeys(MEASURES, 0.0)
    run = {"q": {name: float(len(names) - place) for place, name in enumerate(names)}}
    judged = {"q": dict.fromkeys(case.relevant_ids, 1)}
    found = ir_measures.calc_aggregate(list(MEASURES.values()), judged, run)
    return {name: float(found[measure]) for name, measure in MEASURES.items()}


def context_precision(case: Case) -> float:
    """Mean of the precision at each relevant passage that was found; 0 where none was."""
    hits, precisions = 0, []
    for place, name in enumerate(ranked_ids(case), start=1):
        if name in case.relevant_ids:
            hits += 1
            precisions.append(hits / place)
    return sum(precisions) / len(precisions) if precisions else 0.0
