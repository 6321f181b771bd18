"""An experiment's variant for one answer, and the model behind a name."""

from __future__ import annotations

from gyre_inference.domain.choice import Choice, chosen_by
from gyre_inference.domain.faults import NotFound
from gyre_inference.domain.policy import Policy
from gyre_inference.use_cases.in_force import InForce
from gyre_inference.use_cases.ledger import Ledger


def assigned(in_force: InForce, workload: str, choice: Choice, ledger: Ledger) -> Choice:
    """The choice with the variant's below it; the assignment goes into the record.

    A request that names its prompt or its model is no part of an experiment, nor is a run's.
    """
    experiment = in_force.experiment(ledger.tenant, workload)
    if experiment is None or not choice.is_free or ledger.labels.is_a_runs:
        return choice
    variant = experiment.variant_for(ledger.labels, ledger.answer_id)
    ledger.know(
        experiment=experiment.experiment_id,
        variant=variant.name,
        variant_share=experiment.shares[variant.name],
    )
    return choice.over(chosen_by(variant))


def served(in_force: InForce, policy: Policy, tenant: str, wanted: str) -> str:
    """Name on the model server of what is asked for; empty means the settings' model. Raises
    `NotFound`."""
    name = wanted or policy.model
    if name not in policy.models and not in_force.offers(tenant, name):
        raise NotFound(f"no model {name!r} is offered")
    return in_force.release(tenant, name)
