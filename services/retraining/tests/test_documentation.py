"""What docs/training.md says can be done, can be done."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gyre_client.cli.app import app
from gyre_retraining.adapters.catalogue import CatalogueRecipes, read_policies
from gyre_retraining.domain import filters, lineage, sifting, triggers
from gyre_retraining.domain.lineage import answer_facts, judgement_facts, review_facts
from gyre_retraining.settings import Settings
from typer.testing import CliRunner

PAGE = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
COMMANDS = sorted(
    {line for line in PAGE.splitlines() if line.startswith("gyre ")}
    | {one for one in re.findall(r"`(gyre [^`]+)`", PAGE) if " " in one}
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def table_of(section: str) -> set[str]:
    """What stands in back quotes in the first column of the section's table."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {one for cell in cells for one in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_one(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    found = CliRunner().invoke(app, [*words, "--help"])
    assert found.exit_code == 0, found.output
    assert "Example: gyre" in found.output


def test_the_page_names_every_recipe_and_no_other() -> None:
    assert table_of("Recipes") == {one.name for one in CatalogueRecipes().all()}


def test_the_page_names_every_filter_and_no_other() -> None:
    said = f"{sifting.sift.__doc__} {filters.filter_rows.__doc__}"
    assert table_of("The dataset") == set(re.findall(r"`([a-z_]+)`", said))


def test_the_policies_of_the_page_are_some(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)\n```", PAGE, re.DOTALL)
    file = tmp_path / "policies.yaml"
    file.write_text(block)
    (policy,) = read_policies(file, {one.name for one in CatalogueRecipes().all()})
    assert (policy.minimum_judgements, policy.drift) == (300, True)


def test_every_refusal_of_the_page_is_one() -> None:
    (listed,) = re.findall(r"What was refused says why: (.*?)\.\n", PAGE)
    said = re.findall(r"`([a-z_]+)`", triggers.Verdict.__doc__ or "")
    assert re.findall(r"`([a-z_]+)`", listed) == [one for one in said if one != triggers.ACCEPTED]


def test_every_setting_of_the_page_is_one() -> None:
    named = {one.lower() for one in re.findall(r"`GYRE_([A-Z_]+)`", PAGE)}
    assert named
    assert named <= Settings.model_fields.keys()


def test_every_relation_of_the_page_is_one() -> None:
    text = PAGE.partition("## Lineage\n")[2]
    named = {
        one
        for line in text.splitlines()
        if line.startswith("| ")
        for one in re.findall(r"`([a-z_]+)`", line)
    }
    facts = [
        answer_facts("a", NOW, models=["m/1"], user="u", shown=[("c", "d")]),
        judgement_facts("j", NOW, metric="m", answer_id="a", user="u", chunk="c"),
        review_facts("r", NOW, answer_id="a"),
    ]
    heard = {edge.relation for one in facts for edge in one.edges} - {"part_of"}
    source = Path(lineage.__file__).read_text()
    assert heard <= named
    assert all(f'"{one}"' in source for one in named)
