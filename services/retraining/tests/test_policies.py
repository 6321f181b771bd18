"""Policies and recipes are read as they are written, and what is wrong in them is named."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from gyre_retraining.adapters.catalogue import CatalogueRecipes, PoliciesError, read_policies
from gyre_retraining.domain.models import ModelKind
from gyre_retraining.domain.trainings import Limits, RecipeInvalid, RecipeUnknown, plan_from
from gyre_retraining.domain.triggers import Policy

ONE = {"name": "a", "recipe": "tiny"}


def written(folder: Path, *policies: dict[str, object]) -> Path:
    file = folder / "policies.yaml"
    file.write_text(yaml.safe_dump({"policies": list(policies)}))
    return file


def test_a_policy_says_when_and_how_often(tmp_path: Path) -> None:
    given = {
        **ONE,
        "tenant": "acme",
        "minimum_judgements": 50,
        "metrics": ["thumb"],
        "drift": True,
        "every_hours": 24,
        "cool_down_hours": 1.5,
        "trainings_per_day": 2,
        "minutes_per_week": 90,
    }
    wanted = Policy(
        name="a",
        recipe="tiny",
        tenant="acme",
        minimum_judgements=50,
        metrics=frozenset({"thumb"}),
        drift=True,
        every=timedelta(days=1),
        cool_down=timedelta(minutes=90),
        trainings_per_day=2,
        minutes_per_week=90.0,
    )
    assert read_policies(written(tmp_path, given), ["tiny"]) == [wanted]


def test_what_is_not_said_is_off(tmp_path: Path) -> None:
    assert read_policies(written(tmp_path, ONE), ["tiny"]) == [Policy("a", "tiny")]
    assert read_policies(written(tmp_path), ["tiny"]) == []


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ([{**ONE, "recipe": "huge"}], "no recipe huge"),
        ([{**ONE, "speed": 3}], "speed"),
        ([{**ONE, "minimum_judgements": -1}], "minimum_judgements"),
        ([{**ONE, "tenant": "a b"}], "tenant"),
        ([ONE, {**ONE, "tenant": "acme"}], "name of its own"),
        ([ONE, {**ONE, "name": "b"}], "one policy for each"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, policies: list[dict[str, object]], said: str
) -> None:
    with pytest.raises(PoliciesError, match=said):
        read_policies(written(tmp_path, *policies), ["tiny"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PoliciesError, match=r"none\.yaml"):
        read_policies(tmp_path / "none.yaml", [])


def test_the_packages_recipes_are_plans() -> None:
    recipes = CatalogueRecipes()
    plans = {one.name: one for one in recipes.all()}
    assert list(plans) == sorted(plans)
    lora = plans["language-sft-lora"]
    assert (lora.kind, lora.form, lora.method) == (ModelKind.LANGUAGE, "demonstrations", "sft")
    assert lora.limits == Limits(**lora.values["limits"])
    for plan in plans.values():
        assert plan_from(json.loads(json.dumps(plan.as_json()))) == plan


def test_overrides_make_another_plan_or_say_why_not() -> None:
    recipes = CatalogueRecipes()
    plain = recipes.plan("language-sft-lora", {})
    changed = recipes.plan("language-sft-lora", {"training.epochs": "1.5"})
    assert changed.values["training"]["epochs"] == 1.5
    assert changed.hash != plain.hash
    for overrides in ({"training.speed": "1"}, {"training.epochs": "fast"}, {"name": "x"}):
        with pytest.raises(RecipeInvalid):
            recipes.plan("language-sft-lora", overrides)
    with pytest.raises(RecipeUnknown):
        recipes.plan("huge", {})


def test_a_folders_recipe_replaces_the_packages(tmp_path: Path) -> None:
    package = CatalogueRecipes().plan("language-sft-lora", {})
    own = {**package.values, "description": "Ours."}
    (tmp_path / "language-sft-lora.yaml").write_text(yaml.safe_dump(own))
    assert CatalogueRecipes([tmp_path]).plan("language-sft-lora", {}).description == "Ours."
