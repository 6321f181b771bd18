"""`gyre train`, `gyre models` and `gyre lineage` over the wire, and what they draw."""

from __future__ import annotations

import asyncio
import io
import json
import re
import textwrap
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.retraining.v1 import service_pb2, training_pb2
from gyre.retraining.v1.service_pb2_grpc import (
    RetrainingServiceServicer,
    add_RetrainingServiceServicer_to_server,
)
from gyre_client.cli.app import app
from gyre_client.cli.curve import curve
from gyre_client.cli.lineage import counted, tree_of
from gyre_client.cli.train_watch import Lines, Picture
from gyre_client.training import Lineage, LineageEdge, LineageNode, Training
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner, Result

CARD = "# minilm, version 2\n\n| a | b |\n| --- | --- |\n"


def stamp() -> Timestamp:
    found = Timestamp()
    found.FromDatetime(datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    return found


def training(state: str, step: int = 0, **fields: object) -> training_pb2.Training:
    return training_pb2.Training(
        training_id="t-1",
        recipe="embedding-feedback",
        kind=training_pb2.MODEL_KIND_EMBEDDING,
        trigger=training_pb2.Trigger(kind=training_pb2.TRIGGER_KIND_PERSON, reason="to see"),
        state=training_pb2.TrainingState.Value(f"TRAINING_STATE_{state.upper()}"),
        step=step,
        steps=100 if step else 0,
        loss=2.0 / step if step else 0.0,
        request_time=stamp(),
        **fields,
    )


RUN = [training("assembling"), *(training("running", step) for step in range(1, 101))]
GOOD = [*RUN, training("succeeded", 100, model="minilm/2", metrics={"mrr@10": 0.5})]
BAD = [*RUN[:9], training("failed", 8, reason="out_of_memory", detail="[it] needed more")]
STOPPED = [*RUN[:9], training("cancelled", 8)]


class Fake(RetrainingServiceServicer):
    """Answers as the service does; notes what it was asked."""

    def __init__(self) -> None:
        self.moments: Sequence[training_pb2.Training] = GOOD
        self.asked: list[object] = []
        self.refusal = ""

    async def StartTraining(self, request, context):  # noqa: N802
        self.asked.append(request)
        if self.refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.refusal)
        return service_pb2.StartTrainingResponse(training=training("requested"))

    async def GetTraining(self, request, context):  # noqa: N802
        return service_pb2.GetTrainingResponse(training=GOOD[-1])

    async def ListTrainings(self, request, context):  # noqa: N802
        self.asked.append(request)
        first = not request.page_token
        return service_pb2.ListTrainingsResponse(
            trainings=[GOOD[-1]] if first else [BAD[-1]], next_page_token="p" if first else ""
        )

    async def WatchTraining(self, request, context):  # noqa: N802
        for one in self.moments:
            yield service_pb2.WatchTrainingResponse(training=one)

    async def CancelTraining(self, request, context):  # noqa: N802
        self.asked.append(request)
        return service_pb2.CancelTrainingResponse(training=RUN[5])

    async def ListRecipes(self, request, context):  # noqa: N802
        recipe = service_pb2.Recipe(
            name="embedding-feedback",
            description="Nearer.",
            kind=training_pb2.MODEL_KIND_EMBEDDING,
            form="pairs",
            method="contrastive",
        )
        return service_pb2.ListRecipesResponse(recipes=[recipe])

    async def ListModels(self, request, context):  # noqa: N802
        return service_pb2.ListModelsResponse(models=[model(2, "candidate"), model(1, "champion")])

    async def GetModel(self, request, context):  # noqa: N802
        if (request.name, request.version) != ("minilm", "candidate"):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name}/{request.version}")
        found = model(2, "candidate")
        found.card = CARD
        return service_pb2.GetModelResponse(model=found)

    async def GetLineage(self, request, context):  # noqa: N802
        self.asked.append(request)
        nodes = [
            service_pb2.LineageNode(kind="document", id="doc-1", label="[notes]"),
            service_pb2.LineageNode(kind="dataset", id="d-1", time=stamp()),
            service_pb2.LineageNode(kind="model", id="minilm/2"),
        ]
        edges = [
            service_pb2.LineageEdge(from_node=1, to_node=0, relation="holds"),
            service_pb2.LineageEdge(from_node=2, to_node=1, relation="trained_on"),
        ]
        return service_pb2.GetLineageResponse(nodes=nodes, edges=edges, truncated=True)


def model(version: int, alias: str) -> training_pb2.Model:
    return training_pb2.Model(
        name="minilm",
        version=version,
        kind=training_pb2.MODEL_KIND_EMBEDDING,
        aliases=[alias],
        training_id="t-1" if version > 1 else "",
        metrics={"mrr@10": 0.5},
        register_time=stamp(),
    )


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    one, server = Fake(), grpc.aio.server()
    add_RetrainingServiceServicer_to_server(one, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    monkeypatch.setenv("GYRE_RETRAINING_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setenv("COLUMNS", "160")
    yield one
    await server.stop(0)


async def gyre(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(words))


async def test_a_training_is_wanted_with_changed_values(fake: Fake) -> None:
    words = [
        "train",
        "start",
        "embedding-feedback",
        "--set",
        "training.epochs=2",
        "--reason",
        "why",
    ]
    ended = await gyre(*words, "--dataset", "d-1", "--request-id", "r-1")
    assert ended.exit_code == 0, ended.output
    assert "training t-1 is requested" in ended.output
    assert fake.asked == [
        service_pb2.StartTrainingRequest(
            recipe="embedding-feedback",
            request_id="r-1",
            reason="why",
            overrides={"training.epochs": "2"},
            dataset_id="d-1",
        )
    ]


async def test_each_start_is_another_cause_unless_it_is_given(fake: Fake) -> None:
    await gyre("train", "start", "r")
    await gyre("train", "start", "r")
    first, second = (one.request_id for one in fake.asked)
    assert first
    assert first != second


async def test_a_start_that_the_policy_forbids_says_why(fake: Fake) -> None:
    fake.refusal = "one ran 3 minutes ago"
    ended = await gyre("train", "start", "embedding-feedback")
    assert ended.exit_code == 1
    assert "one ran 3 minutes ago" in ended.output


async def test_a_change_without_a_value_is_wrong_usage(fake: Fake) -> None:
    ended = await gyre("train", "start", "r", "--set", "training.epochs")
    assert ended.exit_code == 2
    assert "training.epochs=2" in ended.output
    assert fake.asked == []


async def test_a_watched_training_is_told_in_lines_where_there_is_no_terminal(fake: Fake) -> None:
    ended = await gyre("train", "watch", "t-1")
    assert ended.exit_code == 0, ended.output
    assert "embedding-feedback running, step 50 of 100, loss 0.04" in ended.output
    assert "embedding-feedback succeeded, step 100 of 100, loss 0.02, mrr@10 0.5" in ended.output
    assert "model minilm/2; its card: gyre models show minilm/2" in ended.output
    assert 22 <= len(ended.output.splitlines()) <= 25


@pytest.mark.parametrize(
    ("moments", "code", "said"),
    [
        (BAD, 1, "training t-1 failed, out_of_memory: [it] needed more"),
        (STOPPED, 130, "training t-1 cancelled"),
    ],
)
async def test_a_watched_training_ends_with_a_code_for_its_end(
    fake: Fake, moments: Sequence[training_pb2.Training], code: int, said: str
) -> None:
    fake.moments = moments
    for words in (["watch", "t-1"], ["start", "r", "--watch"]):
        ended = await gyre("train", *words)
        assert ended.exit_code == code, ended.output
        assert said in ended.output


async def test_programs_get_each_moment_as_json(fake: Fake) -> None:
    ended = await gyre("train", "watch", "t-1", "--json")
    moments = [json.loads(one) for one in ended.output.splitlines()]
    assert len(moments) == len(GOOD)
    assert moments[0]["loss"] is None
    assert moments[-1]["model"] == "minilm/2"


async def test_trainings_of_all_pages_are_listed(fake: Fake) -> None:
    ended = await gyre("train", "list", "--recipe", "embedding-feedback", "--json")
    assert [one["state"] for one in json.loads(ended.output)] == ["succeeded", "failed"]
    ended = await gyre("train", "list", "--limit", "1")
    assert "100 of 100" in ended.output
    assert "person: to see" in ended.output
    assert "failed" not in ended.output


async def test_a_training_is_shown_and_stopped(fake: Fake) -> None:
    shown = await gyre("train", "show", "t-1", "--json")
    assert json.loads(shown.output)["metrics"] == {"mrr@10": 0.5}
    stopped = await gyre("train", "cancel", "t-1", "--reason", "wrong")
    assert "training t-1 will stop; it is running still" in stopped.output
    assert fake.asked == [service_pb2.CancelTrainingRequest(training_id="t-1", reason="wrong")]


async def test_recipes_and_models_are_listed(fake: Fake) -> None:
    assert "contrastive" in (await gyre("train", "recipes")).output
    listed = (await gyre("models", "list")).output
    assert "minilm/2" in listed
    assert "training t-1" in listed
    assert "import" in listed


async def test_a_card_is_printed_as_it_is_where_there_is_no_terminal(fake: Fake) -> None:
    shown = await gyre("models", "show", "minilm/candidate")
    assert shown.output == CARD + "\n"
    absent = await gyre("models", "show", "minilm/9")
    assert absent.exit_code == 4
    assert "minilm/9" in absent.output


async def test_lineage_is_a_tree_and_says_that_there_is_more(fake: Fake) -> None:
    ended = await gyre("lineage", "document", "doc-1", "--forward", "--limit", "3")
    assert ended.exit_code == 0, ended.output
    lines = ended.output.splitlines()
    assert lines[0].strip() == "document doc-1 ([notes])"
    assert "holds dataset d-1 2026-03-01 12:30" in lines[1]
    assert lines[2].index("trained_on") > lines[1].index("holds")
    assert "there is more, see --limit" in ended.output
    (asked,) = fake.asked
    assert asked == service_pb2.GetLineageRequest(
        kind="document",
        id="doc-1",
        direction=service_pb2.LINEAGE_DIRECTION_FORWARD,
        limit=3,
    )


async def test_without_a_service_each_command_ends_with_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GYRE_RETRAINING_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("GYRE_TIMEOUT", "5")
    for words in (["train", "recipes"], ["models", "list"], ["lineage", "user", "u"]):
        assert (await gyre(*words)).exit_code == 3


def test_a_tree_names_each_thing_once_and_counts_what_it_leaves_out() -> None:
    nodes = (
        LineageNode("dataset", "d", "", None),
        *(LineageNode("judgement", f"j-{n}", "", None) for n in range(30)),
        LineageNode("user", "u", "", None),
    )
    edges = (
        *(LineageEdge(0, n, "holds") for n in range(1, 31)),
        *(LineageEdge(n, 31, "given_by") for n in range(1, 31)),
    )
    found = Lineage(nodes, edges)
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as drawn:
        console.print(tree_of(found, forward=False))
    assert drawn.get().count("user u") == 1
    assert "and 20 more of kind judgement" in drawn.get()
    assert counted(found) == "30 of kind judgement, 1 of kind user"


def test_a_falling_loss_is_a_falling_curve() -> None:
    rows = curve({step: 1.0 / step for step in range(1, 41)}, 40, width=40, height=4)
    assert len(rows) == 4
    bars = [row.partition("┤")[2] for row in rows]
    assert {len(one) for one in bars} == {40}
    heights = [sum(" ▁▂▃▄▅▆▇█".index(row[column]) for row in bars) for column in range(40)]
    assert heights == sorted(heights, reverse=True)
    assert (heights[0], heights[-1]) == (32, 1)
    assert rows[0].split()[0] == "1"


def test_what_is_still_to_come_is_empty_and_nothing_known_draws_nothing() -> None:
    (row,) = curve({1: 3.0, 2: 3.0}, 4, width=4, height=1)
    assert row.endswith("┤██  ")
    assert curve({}, 10) == ()


@given(
    st.dictionaries(st.integers(0, 10_000), st.floats(-1e6, 1e6), max_size=50),
    st.integers(0, 10_000),
    st.integers(1, 80),
    st.integers(1, 9),
)
def test_any_losses_make_a_picture_of_the_wanted_size(
    losses: dict[int, float], steps: int, width: int, height: int
) -> None:
    rows = curve(losses, steps, width=width, height=height)
    assert len(rows) == (height if losses else 0)
    assert all(len(row.partition("┤")[2]) == width for row in rows)


def test_a_terminal_shows_the_bar_the_curve_and_the_metrics() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    picture = Picture(console)
    for one in GOOD:
        picture.show(Training.read(one))
    with console.capture() as drawn:
        console.print(picture)
    assert "embedding-feedback succeeded" in drawn.get()
    assert "100/100" in drawn.get()
    assert "█" in drawn.get()
    assert "mrr@10 0.5" in drawn.get()


def test_a_moment_that_says_nothing_new_is_no_line() -> None:
    console = Console(file=io.StringIO(), width=100)
    lines = Lines(console)
    with console.capture() as printed:
        for step in (1, 2, 3, 4):
            lines.show(Training.read(training("running", step)))
    assert len(printed.get().splitlines()) == 1


async def test_the_python_of_the_documentation_runs(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)\n```", page, re.DOTALL)
    program = "async def example():\n" + textwrap.indent(block, "    ")
    scope: dict[str, Any] = {}
    exec(program, scope)
    await scope["example"]()
    printed = capsys.readouterr().out
    assert "succeeded 100 100 0.02" in printed
    assert "minilm/2" in printed
