"""proto/README.md says who speaks and who hears; the protos, the code and the plan agree."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor import Descriptor, FileDescriptor

Row = tuple[str, frozenset[str]]


@pytest.fixture(scope="module")
def table(repository: Path) -> dict[str, Row]:
    """Event -> owner and listeners, as the page says."""
    text = (repository / "proto" / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", text, re.MULTILINE)
    assert len(rows) == len({event for event, _, _ in rows}), "an event stands twice"
    return {event: (owner, frozenset(re.findall(r"\w+", heard))) for event, owner, heard in rows}


def test_the_page_lists_every_event_of_the_protos_under_its_owner(
    repository: Path, table: dict[str, Row]
) -> None:
    spoken = {event.name: owner for owner, event in _events(repository)}
    assert {event: owner for event, (owner, _) in table.items()} == spoken


def test_an_event_has_one_speaker(repository: Path) -> None:
    names = [event.name for _, event in _events(repository)]
    assert len(names) == len(set(names))


def test_only_the_owner_makes_an_event(repository: Path) -> None:
    makers: dict[str, set[str]] = {}
    for path in (repository / "services").glob("*/gyre_*/**/*.py"):
        for name in _called(path):
            makers.setdefault(name, set()).add(path.relative_to(repository / "services").parts[0])
    for owner, event in _events(repository):
        assert makers.get(event.name, set()) <= {owner}, event.name


def test_the_page_names_every_listener_of_the_code(repository: Path, table: dict[str, Row]) -> None:
    heard = {(event, listener) for listener, event in _handlers(repository)}
    said = {(event, one) for event, (_, listeners) in table.items() for one in listeners}
    assert said == heard


def test_every_handler_is_named_after_its_event(repository: Path) -> None:
    for path in (repository / "services").glob("*/gyre_*/handlers.py"):
        for event, handler in _subscribed(path):
            assert handler == "on_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", event).lower()


def test_the_plan_of_the_bus_has_a_consumer_for_every_listener(repository: Path) -> None:
    plan = yaml.safe_load((repository / "infra" / "nats" / "topology.yaml").read_text())
    planned = {(one["listener"], one["event"].rpartition(".")[2]) for one in plan["consumers"]}
    assert planned == set(_handlers(repository))


def test_the_plan_of_the_bus_has_a_stream_for_every_speaker(repository: Path) -> None:
    plan = yaml.safe_load((repository / "infra" / "nats" / "topology.yaml").read_text())
    assert {owner.upper() for owner, _ in _events(repository)} <= plan["streams"].keys()


def test_every_service_page_says_what_it_hears(repository: Path) -> None:
    for listener, event in _handlers(repository):
        page = (repository / "services" / listener / "README.md").read_text()
        assert f"`{event}`" in page, f"services/{listener}/README.md does not name {event}"


def test_every_rpc_has_its_own_request_and_response(repository: Path) -> None:
    used: list[str] = []
    for file in _files(repository, "service"):
        for service in file.services_by_name.values():
            for method in service.methods:
                used += [method.input_type.full_name, method.output_type.full_name]
                assert method.input_type.name == f"{method.name}Request"
    assert used
    assert len(used) == len(set(used))


def test_every_rpc_stands_on_the_page(repository: Path) -> None:
    text = (repository / "proto" / "README.md").read_text()
    for file in _files(repository, "service"):
        for service in file.services_by_name.values():
            (row,) = re.findall(rf"^\| `{service.full_name}` \| (.*) \|$", text, re.MULTILINE)
            assert re.findall(r"`(\w+)`", row) == [method.name for method in service.methods]


def _files(repository: Path, kind: str) -> Iterator[FileDescriptor]:
    for path in sorted((repository / "proto" / "gyre").glob(f"*/v1/{kind}.proto")):
        module = importlib.import_module(f"gyre.{path.parts[-3]}.v1.{kind}_pb2")
        descriptor: FileDescriptor = module.DESCRIPTOR
        yield descriptor


def _events(repository: Path) -> Iterator[tuple[str, Descriptor]]:
    """Owner and event: the messages of events.proto that are no part of another one."""
    for file in _files(repository, "events"):
        messages = list(file.message_types_by_name.values())
        parts = {field.message_type for message in messages for field in message.fields}
        owner = file.package.split(".")[1]
        yield from ((owner, message) for message in messages if message not in parts)


def _handlers(repository: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((repository / "services").glob("*/gyre_*/handlers.py")):
        for event, _ in _subscribed(path):
            yield path.parts[-3], event


def _subscribed(path: Path) -> Iterator[tuple[str, str]]:
    """Event and handler of every `@listeners.on(Event, ...)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _last(decorator.func) == "on":
                    yield _last(decorator.args[0]), node.name


def _called(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {_last(node.func) for node in nodes if isinstance(node, ast.Call)}


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
