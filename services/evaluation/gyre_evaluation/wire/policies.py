"""Policies of gates as people write them: YAML, checked field by field."""

from __future__ import annotations

from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gyre_evaluation.domain.errors import RequestInvalid
from gyre_evaluation.domain.gates import policy as domain

MOST_BYTES = 64 * 1024
Dataset = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}(@[1-9][0-9]{0,8})?$")]
Trigger = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Share = Annotated[float, Field(ge=0.0)]


class _Form(BaseModel):
    """A misspelt field is an error: what it was meant to demand would silently not be demanded."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BarForm(_Form):
    """See `Bar`."""

    margin: Share = 0.0
    better: bool = False
    at_least: float | None = None
    at_most: float | None = None


class CutForm(_Form):
    """See `Cut`."""

    margin: Share = 0.0
    minimum: int = Field(domain.DEFAULT_MINIMUM, ge=2)


class RegressionsForm(_Form):
    """See `Regressions`."""

    metric: str
    fall: float = Field(1.0, gt=0.0)
    at_most: int = Field(0, ge=0)


class FixedForm(_Form):
    """See `Fixed`."""

    dataset: Dataset
    split: str = ""
    limit: int = Field(0, ge=0)
    metrics: dict[str, BarForm] = Field(min_length=1)
    slices: dict[str, CutForm] = {}
    regressions: list[RegressionsForm] = []


class FreshForm(_Form):
    """See `Fresh`."""

    hours: float = Field(gt=0.0, le=24 * 366)
    limit: int = Field(200, ge=1, le=5000)
    collection: str = ""
    metrics: dict[str, BarForm] = Field(min_length=1)


class SafetyForm(_Form):
    """See `Safety`."""

    dataset: Dataset
    split: str = ""
    metrics: list[str] = Field(min_length=1)


class TriggersForm(_Form):
    """See `Triggers`."""

    strings: list[Trigger] = Field(min_length=1, max_length=50)
    questions: int = Field(20, ge=1, le=1000)
    alike: float = Field(0.8, gt=0.0, le=1.0)
    at_most: int = Field(0, ge=0)


class PolicyForm(_Form):
    """See `Policy`."""

    workload: str
    minimum: int = Field(domain.DEFAULT_MINIMUM, ge=2)
    fixed: FixedForm
    fresh: FreshForm | None = None
    safety: list[SafetyForm] = []
    triggers: TriggersForm | None = None
    approval: bool = False


def policy_from(text: str) -> domain.Policy:
    """Raises `RequestInvalid` that names every field."""
    if len(text.encode()) > MOST_BYTES:
        raise RequestInvalid({"yaml": f"at most {MOST_BYTES} bytes"})
    try:
        form = PolicyForm.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise RequestInvalid({"yaml": f"it is no YAML: {error}"[:500]}) from error
    except ValidationError as error:
        raise RequestInvalid(
            {".".join(map(str, one["loc"])) or "yaml": one["msg"] for one in error.errors()}
        ) from error
    if len({one.dataset.partition("@")[0] for one in form.safety}) < len(form.safety):
        raise RequestInvalid({"safety": "name each dataset once"})
    return _policy(form)


def _policy(form: PolicyForm) -> domain.Policy:
    fresh, triggers = form.fresh, form.triggers
    return domain.Policy(
        workload=form.workload,
        fixed=_fixed(form.fixed),
        minimum=form.minimum,
        fresh=None
        if fresh is None
        else domain.Fresh(fresh.hours, fresh.limit, fresh.collection, _bars(fresh.metrics)),
        safety=tuple(
            domain.Safety(*_named(one.dataset), one.split, tuple(one.metrics))
            for one in form.safety
        ),
        triggers=None
        if triggers is None
        else domain.Triggers(
            tuple(triggers.strings), triggers.questions, triggers.alike, triggers.at_most
        ),
        approval=form.approval,
    )


def _fixed(form: FixedForm) -> domain.Fixed:
    name, version = _named(form.dataset)
    return domain.Fixed(
        dataset=name,
        version=version,
        split=form.split,
        limit=form.limit,
        bars=_bars(form.metrics),
        cuts={key: domain.Cut(one.margin, one.minimum) for key, one in form.slices.items()},
        regressions=tuple(
            domain.Regressions(one.metric, one.fall, one.at_most) for one in form.regressions
        ),
    )


def _bars(forms: dict[str, BarForm]) -> dict[str, domain.Bar]:
    return {
        name: domain.Bar(one.margin, one.better, one.at_least, one.at_most)
        for name, one in forms.items()
    }


def _named(dataset: str) -> tuple[str, int]:
    name, _, version = dataset.partition("@")
    return name, int(version or 0)
