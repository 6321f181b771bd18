import ast
from pathlib import Path
from typing import Any

import pytest
from gyre_retraining.recipes import job as job_file
from gyre_retraining.recipes import schema
from gyre_retraining.recipes.schema import FITS, RecipeError

SMALLEST: dict[str, Any] = {
    "name": "a-recipe",
    "description": "For a test.",
    "kind": "language",
    "method": "sft",
    "form": "demonstrations",
    "base_model": "gyre-reader",
}


def test_every_recipe_of_the_catalogue_is_valid_and_called_as_its_file() -> None:
    found = schema.catalogue()
    assert set(found) == {path.stem for path in schema.CATALOGUE.glob("*.yaml")}


def test_the_catalogue_has_a_recipe_for_every_method_of_a_language_model() -> None:
    methods = {recipe.method for recipe in schema.catalogue().values()}
    assert set(FITS) - {"contrastive"} <= methods


def test_a_file_called_otherwise_than_its_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(schema.to_yaml(schema.parse(SMALLEST)))
    with pytest.raises(RecipeError, match="other"):
        schema.catalogue(tmp_path)


def test_a_recipe_written_out_is_read_as_itself(tmp_path: Path) -> None:
    recipe = schema.parse(SMALLEST)
    (tmp_path / "a.yaml").write_text(schema.to_yaml(recipe))
    assert schema.read(tmp_path / "a.yaml") == recipe


@pytest.mark.parametrize("method", sorted(FITS))
@pytest.mark.parametrize("form", sorted({form for _, form in FITS.values()}))
def test_a_method_takes_rows_of_its_form_only(method: Any, form: str) -> None:
    kind, fitting = FITS[method]
    sections = {"distillation": {"teacher": "t"}} if method == "distill" else {}
    values = SMALLEST | {"method": method, "form": form, "kind": kind} | sections
    if form == fitting:
        assert schema.parse(values).form == form
    else:
        with pytest.raises(RecipeError, match="form"):
            schema.parse(values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"surprise": 1},
        {"training": {"surprise": 1}},
        {"training": {"epochs": 0}},
        {"training": {"learning_rate": -1}},
        {"data": {"validation_share": 1.0}},
        {"name": "../up"},
        {"preference": {"beta": 0.1}},
        {"method": "distill"},
        {"export": {"quantise": "int8"}},
        {"export": {"merge": True}},
        {"accelerate": {"fsdp": True}},
        {"search": {"space": {"training.surprise": {"values": [1]}}}},
        {"search": {"space": {"training.epochs": {"low": 2, "high": 1}}}},
        {"search": {"space": {"training.epochs": {"low": 0, "high": 1, "log": True}}}},
    ],
)
def test_what_a_recipe_may_not_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        schema.parse(SMALLEST | wrong)


def test_the_refusal_names_the_field() -> None:
    with pytest.raises(RecipeError, match=r"training\.epochs"):
        schema.parse(SMALLEST | {"training": {"epochs": 0}})


def test_overrides_change_values_by_their_path() -> None:
    changed = schema.with_overrides(
        schema.parse(SMALLEST), {"training.epochs": "2", "adapter.kind": "lora"}
    )
    assert (changed.training.epochs, changed.adapter.kind) == (2.0, "lora")


@pytest.mark.parametrize(
    ("path", "text"),
    [("training.surprise", "1"), ("surprise", "1"), ("training.epochs", "many"), ("name", "b")],
)
def test_an_override_that_does_not_fit_is_refused(path: str, text: str) -> None:
    with pytest.raises(RecipeError):
        schema.with_overrides(schema.parse(SMALLEST), {path: text})


def test_equal_recipes_have_one_hash_and_a_change_has_another() -> None:
    recipe = schema.parse(SMALLEST)
    spelt = schema.parse(SMALLEST | {"training": {"epochs": 1.0}})
    changed = schema.with_overrides(recipe, {"training.seed": "1"})
    assert schema.recipe_hash(recipe) == schema.recipe_hash(spelt)
    assert schema.recipe_hash(recipe) != schema.recipe_hash(changed)


@pytest.mark.parametrize("module", [schema, job_file])
def test_what_the_service_reads_imports_no_torch(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    names = {
        name.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert not names & {"torch", "transformers", "trl", "peft", "datasets", "accelerate"}
