"""The README's table "Follow one document" and its links stand on files and events that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

Step = tuple[str, list[str]]


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


@pytest.fixture(scope="module")
def steps(readme: str) -> list[Step]:
    """File and events of every row."""
    rows = re.findall(r"^\| \d+ \| [^|]+ \| `([^`]+)` \| ([^|]+) \|$", readme, re.MULTILINE)
    return [(path, re.findall(r"`(\w+)`", events)) for path, events in rows]


def test_the_table_has_a_row_for_every_service_that_runs(
    repository: Path, steps: list[Step]
) -> None:
    running = {path.parts[-3] for path in (repository / "services").glob("*/gyre_*/app.py")}
    assert {path.split("/")[1] for path, _ in steps} == running


def test_every_file_of_the_table_exists(repository: Path, steps: list[Step]) -> None:
    assert [path for path, _ in steps if not (repository / path).is_file()] == []


def test_every_event_of_the_table_is_spoken_by_the_service_of_its_row(
    repository: Path, steps: list[Step]
) -> None:
    for path, events in steps:
        service = path.split("/")[1]
        protos = (repository / "proto" / "gyre" / service / "v1" / "events.proto").read_text()
        assert events, path
        for event in events:
            assert f"\nmessage {event} {{" in protos, f"{service} does not say {event}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "proto/README.md"])
def test_every_link_of_a_page_leads_somewhere(repository: Path, page: str) -> None:
    text = (repository / page).read_text()
    folder = (repository / page).parent
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert [one for one in links if "://" not in one and not (folder / one).exists()] == []


def test_every_decision_says_what_was_decided_and_why(repository: Path) -> None:
    decisions = sorted((repository / "docs" / "decisions").glob("*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert numbers == [f"{place:04}" for place in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text()
        found = re.findall(
            r"^(?:# \d+\. .+|Status: \w+|## (?:Context|Decision|Consequences))$", text, re.M
        )
        assert len(found) == 5, path.name
