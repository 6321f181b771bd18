"""What a step did before the run was interrupted goes into the answer's record again."""

from __future__ import annotations

import json
from typing import Any

from gyre_inference.domain.chain_runs import StepRecord
from gyre_inference.domain.generation import Ending
from gyre_inference.domain.passages import Found
from gyre_inference.domain.values import Written
from gyre_inference.use_cases.chains.run import Doing

SHORTENED = 4096
"""Characters of a step's input or output in an answer's record."""


def recalled(doing: Doing, known: StepRecord) -> list[str]:
    """Texts of the chain's own that were told then."""
    ledger, output = doing.run.ledger, doing.output
    with ledger.step(known.kind, known.name, step_id=known.step_id, parent=known.parent_step_id):
        pass
    ledger.detail(known.step_id, shortened(known.input), shortened(known.output), known.usage)
    if isinstance(output, Found):
        ledger.know(passages=output.passages, index_version=output.index_version)
    if not isinstance(output, Written):
        return []
    ledger.used(Ending(output.finish, known.usage))
    if not doing.is_output:
        return []
    ledger.know(citations=output.citations, finish_reason=output.finish)
    ledger.said(output.text)
    return [output.text]


def shortened(data: Any) -> str:
    """JSON for an answer's record, which is one event."""
    text = json.dumps(data, ensure_ascii=False)
    return text if len(text) <= SHORTENED else text[:SHORTENED] + "…"
