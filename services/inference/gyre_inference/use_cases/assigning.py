"""An experiment's variant for one answer."""

from __future__ import annotations

from gyre_inference.domain.choice import Choice, chosen_by
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.ledger import Ledger


def assigned(in_force: InForce, workload: str, choice: Choice, ledger: Ledger) -> Choice:
    """The choice with the variant's below it; the assignment goes into the record.

    A request that names its prompt or its model is no part of an experiment.
    """
    experiment = in_force.experiment(ledger.tenant, workload)
    if experiment is None or not choice.is_free:
        return choice
    variant = experiment.variant_for(ledger.labels, ledger.answer_id)
    ledger.know(experiment=experiment.experiment_id, variant=variant.name)
    return choice.over(chosen_by(variant))
