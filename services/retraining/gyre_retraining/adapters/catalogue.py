"""Recipes and policies: folders and files of YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gyre_retraining.domain.models import ModelKind
from gyre_retraining.domain.trainings import Limits, Plan, RecipeInvalid, RecipeUnknown
from gyre_retraining.domain.triggers import ANY, Policy
from gyre_retraining.recipes.schema import (
    Recipe,
    RecipeError,
    catalogue,
    recipe_hash,
    to_yaml,
    with_overrides,
)

HOUR = 3600.0


class PoliciesError(ValueError):
    """The file of policies cannot be read, or holds what it may not; the message says where."""


class CatalogueRecipes:
    """`Recipes` of the package, and of further folders whose names come before."""

    def __init__(self, folders: Collection[Path] = ()) -> None:
        """Raises `RecipeError` where a recipe is not valid."""
        self._recipes = catalogue()
        for folder in folders:
            self._recipes |= catalogue(folder)

    def all(self) -> list[Plan]:
        return [plan_of(self._recipes[name]) for name in sorted(self._recipes)]

    def plan(self, name: str, overrides: Mapping[str, str]) -> Plan:
        recipe = self._recipes.get(name)
        if recipe is None:
            raise RecipeUnknown(name)
        try:
            return plan_of(with_overrides(recipe, overrides))
        except (RecipeError, yaml.YAMLError) as error:
            raise RecipeInvalid(str(error)) from error


def plan_of(recipe: Recipe) -> Plan:
    limits = recipe.limits
    return Plan(
        name=recipe.name,
        description=recipe.description,
        kind=ModelKind(recipe.kind),
        form=recipe.form,
        method=recipe.method,
        base_model=recipe.base_model,
        hash=recipe_hash(recipe),
        yaml=to_yaml(recipe),
        values=recipe.model_dump(mode="json"),
        limits=Limits(limits.memory_mb, limits.minutes, limits.threads, limits.nice),
        processes=recipe.accelerate.processes,
        fsdp=recipe.accelerate.fsdp,
    )


class _Written(BaseModel):
    """A policy as it is written down."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    recipe: str
    tenant: str = Field(ANY, pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")
    minimum_judgements: int = Field(0, ge=0)
    metrics: frozenset[str] = frozenset()
    drift: bool = False
    every_hours: float = Field(0.0, ge=0)
    cool_down_hours: float = Field(0.0, ge=0)
    trainings_per_day: int = Field(0, ge=0)
    minutes_per_week: float = Field(0.0, ge=0)

    def policy(self) -> Policy:
        return Policy(
            name=self.name,
            recipe=self.recipe,
            tenant=self.tenant,
            minimum_judgements=self.minimum_judgements,
            metrics=self.metrics,
            drift=self.drift,
            every=timedelta(hours=self.every_hours) if self.every_hours else None,
            cool_down=timedelta(hours=self.cool_down_hours),
            trainings_per_day=self.trainings_per_day,
            minutes_per_week=self.minutes_per_week,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    policies: list[_Written] = []


def read_policies(path: Path, recipes: Collection[str]) -> list[Policy]:
    """Policies of a file `policies: [...]`. Raises `PoliciesError`."""
    try:
        written = _File.model_validate(yaml.safe_load(path.read_text()) or {}).policies
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise PoliciesError(f"{path}: {error}") from error
    if len({one.name for one in written}) < len(written):
        raise PoliciesError(f"{path}: each policy needs a name of its own")
    # One counts a recipe's judgements for a tenant: two would count from each other's marks.
    if len({(one.recipe, one.tenant) for one in written}) < len(written):
        raise PoliciesError(f"{path}: give one policy for each recipe and tenant")
    if strange := {one.recipe for one in written} - set(recipes):
        raise PoliciesError(f"{path}: there is no recipe {', '.join(sorted(strange))}")
    return [one.policy() for one in written]
