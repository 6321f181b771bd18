"""How the platform is set for the loop: two tenants, short recipes, small samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
RECIPES, POLICIES = HERE / "recipes", HERE / "policies"
CAREFUL, CARELESS = "larkmoor", "hastemoor"


def key_of(tenant: str) -> str:
    return f"key-of-{tenant}"


def settings_of_the_loop(
    careful: str = CAREFUL, careless: str = CARELESS, *, minimum: int = 30
) -> Mapping[str, str]:
    """Environment of every service. minimum: judgements of the candidate's answers that a step
    of the canary needs."""
    tenants = (careful, careless)
    keys = {one: key_of(one) for one in tenants}
    callers = {
        key_of(one): {"tenant": one, "principal": f"{one}-backend", "roles": ["admin"]}
        for one in tenants
    }
    return {
        "GYRE_API_KEYS": json.dumps(callers),
        "GYRE_EVALUATION_KEYS": json.dumps(keys),
        "GYRE_RETRAINING_KEYS": json.dumps(keys),
        "GYRE_RECIPE_FOLDERS": json.dumps([str(RECIPES)]),
        # Half of the users see the candidate, and a fall of up to 0.3 is borne: so few judgements
        # show no less. In service one begins with a few users and asks for more.
        "GYRE_ROLLOUT_STEPS": json.dumps([0.5]),
        "GYRE_ROLLOUT_MINIMUM": str(minimum),
        "GYRE_ROLLOUT_MARGIN": "0.3",
        "GYRE_ROLLOUT_SHADOW_SHARE": "1.0",
        "GYRE_ROLLOUT_SHADOW_PAIRS": "20",
        "GYRE_REINDEX_SHARE": "1.0",
        "GYRE_RECONCILE_POLL": "2",
    }


def policy(name: str) -> str:
    """YAML of a gate's policy."""
    return (POLICIES / f"{name}.yaml").read_text(encoding="utf-8")
