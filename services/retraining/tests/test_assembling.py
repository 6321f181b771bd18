"""Datasets from sources to files: rebuilt bit for bit, named by what is in them, never changed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from dataset_world import AS_OF, answer, busy, fact, question, settings, snapshot, thumb
from gyre_retraining.adapters.datasets import FolderDatasetStore
from gyre_retraining.adapters.memory_datasets import (
    MemoryEvaluationSets,
    MemoryFeatureHistory,
    MemoryMetricScales,
)
from gyre_retraining.adapters.memory_sources import MemorySourceStore
from gyre_retraining.adapters.staging import ABANDONED, UNFINISHED
from gyre_retraining.dataset_ports import AssemblyUnavailable, DatasetDamaged, FeatureAsked
from gyre_retraining.domain.assemble import assemble
from gyre_retraining.domain.assembly import FORMS, settings_from
from gyre_retraining.domain.decontamination import EvaluationSet
from gyre_retraining.domain.models import ModelKind
from gyre_retraining.domain.scales import Scale
from gyre_retraining.domain.sources import Snapshot, State, StateChange
from gyre_retraining.domain.trainings import DatasetUnknown, Plan, TrainingImpossible
from gyre_retraining.use_cases import assembling
from gyre_retraining.use_cases.assembling import AssembleDatasets, AssemblyRules, settings_of
from hypothesis import given
from hypothesis import settings as given_these
from hypothesis import strategies as st

MOMENT = datetime.fromtimestamp(AS_OF, UTC)
FREE = {"account_cap": 1000}


class World:
    """The use case with twins around it and a real folder."""

    def __init__(self, folder: Path, *, features: bool = False, settle: float = 0.0) -> None:
        self.now = 10.0
        self.sources = MemorySourceStore(lambda: self.now)
        self.store = FolderDatasetStore(folder)
        self.sets = MemoryEvaluationSets()
        self.scales = MemoryMetricScales()
        self.features = MemoryFeatureHistory()
        self.datasets = AssembleDatasets(
            self.sources,
            self.store,
            self.sets,
            self.scales,
            self.features if features else None,
            AssemblyRules(settle=settle),
            lambda: datetime.fromtimestamp(AS_OF, UTC),
        )

    async def hear(self, given: Snapshot) -> None:
        for one in given.answers:
            await self.sources.put_answer("acme", one)
        for judgement in given.judgements:
            await self.sources.put_judgement("acme", judgement)
        await self.sources.put_chunks("acme", given.chunks)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    one = World(tmp_path / "datasets")
    await one.hear(busy())
    return one


def plan(form: str = "demonstrations", **data: object) -> Plan:
    values = {"data": {"minimum_rows": 5, "validation_share": 0.2, "account_cap": 1000, **data}}
    return Plan(
        name="toy",
        description="A toy.",
        kind=ModelKind.LANGUAGE,
        form=form,
        method="sft",
        base_model="reader",
        hash="h",
        yaml="",
        values=values,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from dataset_world import busy, settings
from gyre_retraining.adapters.datasets import FolderDatasetStore
from gyre_retraining.domain.assemble import assemble
store = FolderDatasetStore(Path(sys.argv[1]))
for form in sys.argv[2:]:
    made = assemble(busy(), settings(form, account_cap=20), {})
    print(asyncio.run(store.keep(made)).dataset_id)
"""


@pytest.mark.parametrize("seed", ["1", "2"])
async def test_the_same_sources_and_settings_are_the_same_bytes(seed: str, tmp_path: Path) -> None:
    """In another process with another hash seed."""
    here = [
        await FolderDatasetStore(tmp_path / "here").keep(
            assemble(busy(), settings(form, account_cap=20), {})
        )
        for form in FORMS
    ]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", ELSEWHERE, str(tmp_path / "there"), *FORMS],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        check=True,
    )
    assert done.stdout.split() == [one.dataset_id for one in here]
    for one in here:
        assert files(tmp_path / "there" / one.dataset_id) == files(one.folder)
        assert sum(one.rows.values()) > 10


async def test_the_order_in_which_things_were_heard_does_not_matter(tmp_path: Path) -> None:
    ids = set()
    for seed in range(3):
        one = World(tmp_path / str(seed))
        await one.hear(busy(seed=seed))
        ids.add((await one.datasets.make("acme", settings("pairs", **FREE), MOMENT)).dataset_id)
    assert len(ids) == 1


async def test_a_dataset_is_rebuilt_from_its_manifest_whatever_came_later(world: World) -> None:
    exam = EvaluationSet("exam", 1, "h", (question(3),))
    world.sets.sets["acme"] = [exam]
    world.scales.scales["acme"] = {"relevant": Scale(), "unused": Scale(more_is_better=False)}
    made = await world.datasets.make("acme", settings("pairs", **FREE), MOMENT)
    before = files(made.folder)
    world.now = AS_OF + 1
    await world.hear(busy(80))
    await world.sources.put_state(
        "acme", StateChange("backend", "passage-5-chunk-5-", 2, State.WITHDRAWN)
    )
    world.sets.sets["acme"] = [exam, EvaluationSet("exam", 2, "i", (question(7),))]
    world.scales.scales["acme"] = {"relevant": Scale(more_is_better=False)}
    await world.store.erase(made.dataset_id)
    again = await world.datasets.rebuild("acme", made.dataset_id)
    assert again.dataset_id == made.dataset_id
    assert files(again.folder) == before
    assert list(again.manifest["scales"]) == ["relevant"]
    fresh = await world.datasets.make("acme", settings("pairs", **FREE), MOMENT)
    assert fresh.dataset_id != made.dataset_id  # with what is known of metrics and sets now


async def test_a_rebuilt_dataset_leaves_out_what_was_erased(world: World) -> None:
    made = await world.datasets.make("acme", settings("demonstrations", **FREE), MOMENT)
    asked = [number for number in range(60) if number % 7 == 3]
    assert await world.sources.erase_user("acme", "user-3", AS_OF) == len(asked)
    again = await world.datasets.rebuild("acme", made.dataset_id)
    assert again.dataset_id != made.dataset_id
    text = texts(again.folder)
    assert "user-3" not in text
    assert all(question(number) not in text for number in asked)
    assert question(1) in text
    assert dict(counts(again.manifest))["erased"] >= len(asked)
    await world.sources.erase_document("acme", "document-1", 1)
    third = await world.datasets.rebuild("acme", made.dataset_id)
    assert fact(1) in text
    assert fact(1) not in texts(third.folder)


def texts(folder: Path) -> str:
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return json.dumps([table.to_pylist() for table in tables], ensure_ascii=False)


def counts(manifest: object) -> list[tuple[str, int]]:
    assert isinstance(manifest, dict)
    return [(one["filter"], one["rows"]) for one in manifest["filters"]]


async def test_lineage_leads_from_every_row_to_its_sources(world: World) -> None:
    made = await world.datasets.make("acme", settings("pairs", **FREE), MOMENT)
    rows = {
        row["row_id"]: row
        for name in ("train", "validation")
        for row in pq.read_table(made.folder / f"{name}.parquet").to_pylist()
    }
    assert len(rows) == sum(made.rows.values())
    lineage = pq.read_table(made.folder / "lineage.parquet").to_pylist()
    assert {one["row_id"] for one in lineage} == rows.keys()
    found = await world.sources.snapshot("acme", AS_OF)
    known = {
        "answer": {one.answer_id: one for one in found.answers},
        "judgement": {one.judgement_id: one for one in found.judgements},
        "chunk": {one.chunk_id: one for one in found.chunks},
        "document": {one.document_id: one for one in found.chunks},
        "user": {one.end_user: one for one in found.answers},
    }
    assert all(one["id"] in known[one["kind"]] for one in lineage)
    for row_id, row in rows.items():
        mine = [one for one in lineage if one["row_id"] == row_id]
        asked = {known["answer"][one["id"]].question for one in mine if one["kind"] == "answer"}
        shown = {known["chunk"][one["id"]].text for one in mine if one["kind"] == "chunk"}
        assert row["query"] in asked
        assert {row["positive"], *row["negatives"]} == shown


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("demonstrations", ["messages", "completion"]),
        ("preferences", ["messages", "chosen", "rejected"]),
        ("thumbs", ["messages", "completion", "label"]),
        ("texts", ["text"]),
        ("pairs", ["query", "positive", "negatives"]),
    ],
)
async def test_files_have_the_columns_that_recipes_read(
    world: World, form: str, columns: Sequence[str]
) -> None:
    made = await world.datasets.make("acme", settings(form, **FREE), MOMENT)
    for split in ("train", "validation"):
        schema = pq.read_schema(made.folder / f"{split}.parquet")
        assert schema.names == ["row_id", *columns, "language", "weight"]
    assert made.manifest["form"] == form


async def test_a_recipes_plan_becomes_a_dataset_that_is_found_again(world: World) -> None:
    made = await world.datasets.assemble("acme", plan(slices=["language", "workload"]), MOMENT)
    again = await world.datasets.assemble("acme", plan(slices=["language", "workload"]), MOMENT)
    assert made == again == await world.datasets.find("acme", made.dataset_id)
    assert made.rows["train"] > made.rows["validation"] > 0
    manifest = (await world.datasets.kept("acme", made.dataset_id)).manifest
    assert manifest["slices"]["workload=answer"] == sum(made.rows.values())
    assert settings_from(json.loads(json.dumps(manifest["settings"]))) == settings_of(
        plan(slices=["language", "workload"]), AssemblyRules()
    )


async def test_too_few_rows_are_no_dataset_for_a_training(world: World) -> None:
    with pytest.raises(TrainingImpossible, match="left out: account_cap") as refusal:
        await world.datasets.assemble("acme", plan(minimum_rows=50, account_cap=1), MOMENT)
    assert refusal.value.reason == "too_few_rows"


async def test_a_dataset_is_its_tenants_own(world: World) -> None:
    made = await world.datasets.assemble("acme", plan(), MOMENT)
    for tenant, name in (("globex", made.dataset_id), ("acme", "0" * 64), ("acme", "../x")):
        with pytest.raises(DatasetUnknown):
            await world.datasets.find(tenant, name)


async def test_a_dataset_that_was_changed_is_not_opened(world: World) -> None:
    made = await world.datasets.assemble("acme", plan(), MOMENT)
    train, manifest = made.folder / "train.parquet", made.folder / "manifest.json"
    whole = train.read_bytes()
    train.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DatasetDamaged, match=r"train\.parquet"):
        await world.datasets.find("acme", made.dataset_id)
    train.write_bytes(whole)
    await world.datasets.find("acme", made.dataset_id)
    manifest.write_text(manifest.read_text().replace("acme", "evil"))
    with pytest.raises(DatasetDamaged, match="manifest"):
        await world.datasets.find("acme", made.dataset_id)


async def test_an_erased_dataset_keeps_its_record_and_no_rows(world: World) -> None:
    made = await world.datasets.assemble("acme", plan(), MOMENT)
    for _ in range(2):
        await world.store.erase(made.dataset_id)
    kept = await world.datasets.kept("acme", made.dataset_id)
    assert kept.erased
    assert [path.name for path in made.folder.iterdir()] == ["manifest.json"]
    with pytest.raises(DatasetUnknown, match="erased"):
        await world.datasets.find("acme", made.dataset_id)
    assert await world.datasets.assemble("acme", plan(), MOMENT) == made  # its sources are there


async def test_an_unfinished_dataset_is_none_and_is_swept(world: World) -> None:
    made = await world.datasets.assemble("acme", plan(), MOMENT)
    root = made.folder.parent
    old, new = root / f"{UNFINISHED}old", root / f"{UNFINISHED}new"
    for one in (old, new):
        one.mkdir()
        (one / "train.parquet").write_bytes(b"half")
    os.utime(old, (0, new.stat().st_mtime - ABANDONED - 1))
    await world.datasets.assemble("acme", plan("thumbs"), MOMENT)
    assert (old.exists(), new.exists()) == (False, True)


async def test_the_same_dataset_may_be_kept_by_several_at_once(tmp_path: Path) -> None:
    made = assemble(busy(), settings("texts"), {})
    stores = [FolderDatasetStore(tmp_path) for _ in range(8)]
    kept = await asyncio.gather(*(store.keep(made) for store in stores))
    assert len({one.dataset_id for one in kept}) == 1
    assert [path.name for path in kept[0].folder.parent.iterdir()] == [kept[0].dataset_id]


@given_these(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(FORMS), st.integers(0, 3))
def test_the_order_of_sources_does_not_matter(chance: Random, form: str, seed: int) -> None:
    wanted = settings(form, account_cap=3, slice_cap=0.6, maximum_rows=15, seed=seed)
    given_sources = busy(24)
    parts = {
        name: list(getattr(given_sources, name))
        for name in ("answers", "judgements", "reviews", "chunks")
    }
    for part in parts.values():
        chance.shuffle(part)
    mixed = replace(given_sources, **{name: tuple(part) for name, part in parts.items()})
    one, other = assemble(given_sources, wanted, {}), assemble(mixed, wanted, {})
    assert one.splits == other.splits
    assert one.filters == other.filters


async def test_decontamination_waits_for_the_evaluation_sets(world: World) -> None:
    class Away(MemoryEvaluationSets):
        async def all(self, tenant: str) -> list[EvaluationSet]:
            raise AssemblyUnavailable("the evaluation service: away")

    world.datasets._sets = Away()
    with pytest.raises(AssemblyUnavailable):
        await world.datasets.assemble("acme", plan(), MOMENT)
    await world.datasets.assemble("acme", plan(decontaminate=False), MOMENT)


async def test_no_question_of_an_evaluation_set_is_in_any_split(world: World) -> None:
    held_back = tuple(question(number).upper() for number in range(0, 60, 5))
    world.sets.sets = {"acme": [EvaluationSet("exam", 1, "h", held_back)]}
    made = await world.datasets.make("acme", settings("thumbs", **FREE), MOMENT)
    text = texts(made.folder)
    assert all(question(number) not in text for number in range(0, 60, 5))
    assert dict(counts(made.manifest))["contaminated"] == len(held_back)
    assert made.manifest["evaluation_sets"] == [["exam", 1, "h"]]


async def test_features_are_those_of_the_judgements_moment(tmp_path: Path) -> None:
    one = World(tmp_path, features=True)
    given = busy(30)
    await one.hear(given)
    for moment in (1500.0, 2500.0):
        known = FeatureAsked("model", "reader/v1", "helpful", moment)
        one.features.rows.append(("acme", known, {"score": moment, "accounts": 3.0}))
    made = await one.datasets.make("acme", settings("thumbs", **FREE), MOMENT)
    times = {said.answer_id: said.time for said in given.judgements if said.metric == "helpful"}
    questions = {said.question: said.answer_id for said in given.answers}
    seen = set()
    for split in ("train", "validation"):
        for row in pq.read_table(made.folder / f"{split}.parquet").to_pylist():
            asked = row["messages"][0]["content"].split("Question: ")[1]
            moment = times[questions[asked]]
            expected = max((past for past in (1500.0, 2500.0) if past <= moment), default=None)
            assert row["model_score"] == expected
            seen.add(expected)
    assert seen == {None, 1500.0, 2500.0}
    assert made.manifest["features"] == ["model_accounts", "model_score"]


async def test_a_judgement_that_claims_to_be_of_the_future_sees_nothing_of_it(
    tmp_path: Path,
) -> None:
    one = World(tmp_path, features=True)
    await one.sources.put_answer("acme", answer(0))
    await one.sources.put_judgement("acme", thumb(0, True, time=AS_OF + 500))
    for moment in (AS_OF - 5, AS_OF + 5):
        known = FeatureAsked("model", "reader/v1", "helpful", moment)
        one.features.rows.append(("acme", known, {"score": moment}))
    made = await one.datasets.make("acme", settings("thumbs"), MOMENT)
    (row,) = pq.read_table(made.folder / "train.parquet").to_pylist()
    assert row["model_score"] == AS_OF - 5


async def test_a_moment_that_has_not_settled_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    one = World(tmp_path, settle=2.0)
    monkeypatch.setattr(assembling.asyncio, "sleep", sleep)
    for back in (0, 1, 5):
        await one.datasets.make("acme", settings("texts"), MOMENT - timedelta(seconds=back))
    assert slept == [2.0, 1.0]


async def test_nothing_becomes_an_empty_dataset(tmp_path: Path) -> None:
    one = World(tmp_path)
    for form in FORMS:
        made = await one.datasets.make("acme", settings(form), MOMENT)
        assert made.rows == {"train": 0, "validation": 0}
        assert pq.read_table(made.folder / "train.parquet").num_rows == 0


async def test_other_settings_are_another_dataset() -> None:
    base = settings("thumbs", **FREE)
    made = [
        assemble(busy(), one, {})
        for one in (base, replace(base, seed=1), replace(base, account_cap=3))
    ]
    assert len({tuple(row.row_id for row in one.splits["train"]) for one in made}) == 3
    assert assemble(snapshot(), base, {}).rows == {"train": 0, "validation": 0}
