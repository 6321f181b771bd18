"""Features as they were known: nothing of later, on the real Feast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gyre_features.definitions import FEATURES
from gyre_features.history import SMALL_FILES, History
from gyre_features.store import Features, Place, configuration, online_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

START = 1_800_000_000.0


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Features:
    return Features(Place(tmp_path_factory.mktemp("features")))


def row(entity: str, moment: float, judgements: int, tenant: str = "acme") -> dict[str, Any]:
    values = dict.fromkeys(("score", "mean", "accounts", "votes"), 0.5)
    return {
        "tenant": tenant,
        "entity_id": entity,
        "metric": "helpful",
        **values,
        "judgements": float(judgements),
        "event_time": START + moment,
    }


def key(entity: str, moment: float = 0.0, tenant: str = "acme") -> dict[str, Any]:
    names = {"tenant": tenant, "entity_id": entity, "metric": "helpful"}
    return {**names, "as_of_time": START + moment}


_examples = iter(range(10_000))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    known=st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True),
    asked=st.lists(st.integers(-10, 1010), min_size=1, max_size=12, unique=True),
)
def test_no_feature_leaks_the_future(
    features: Features, known: list[int], asked: list[int]
) -> None:
    """Compared with what a reader of the same list would know at each moment."""
    example = next(_examples)
    name = f"leak-{example}"
    rows = [row(name, moment, moment) for moment in known]  # in any order: late ones come late
    features.write("prompt", rows, f"{example}-{example}")
    found = features.then("prompt", [key(name, moment) for moment in asked])
    expected = [max((one for one in known if one <= moment), default=None) for moment in asked]
    assert [one["judgements"] for one in found] == expected


def test_online_is_the_newest_that_is_known(features: Features) -> None:
    features.write("chunk", [row("c-1", 2, 2), row("c-1", 1, 1)], "1-2")
    (found, nothing) = features.now("chunk", [key("c-1"), key("c-9")])
    assert (found["judgements"], found["known_at"]) == (2, START + 2)
    assert set(nothing.values()) == {None}


def test_tenants_see_nothing_of_one_another(features: Features) -> None:
    features.write("model", [row("m", 1, 7)], "1-1")
    assert features.now("model", [key("m", tenant="globex")])[0]["score"] is None
    assert features.then("model", [key("m", 5, tenant="globex")])[0]["score"] is None


def test_most_of_what_is_asked_may_be_unknown(features: Features) -> None:
    features.write("chunk", [row("c-known", 1, 7)], "known")
    for count in (1, 2, 7, 40):
        strangers = [key(f"c-{number}", 5, tenant=f"t-{number}") for number in range(count)]
        assert {one["score"] for one in features.then("chunk", strangers)} == {None}
        found = features.then("chunk", [*strangers, key("c-known", 5)])
        assert [one["judgements"] for one in found] == [None] * count + [7]


def test_a_moment_between_two_microseconds_is_kept(features: Features) -> None:
    features.write("document", [row("d", 0.770131111, 3)], "1-1")
    found = features.then("document", [key("d", 0.770130), key("d", 0.770132)])
    assert [one["judgements"] for one in found] == [None, 3]


def test_writing_again_changes_nothing(features: Features) -> None:
    for _ in range(2):
        features.write("segment", [row("s", 1, 3)], "5-5")
    assert features.then("segment", [key("s", 9)])[0]["judgements"] == 3


def test_many_small_files_become_one_and_say_the_same(tmp_path: Path) -> None:
    features = Features(Place(tmp_path))
    for number in range(SMALL_FILES + 5):
        features.write("variant", [row("v", number, number)], f"{number}-{number}")
    files = list((tmp_path / "history" / "variant").glob("*.parquet"))
    assert len(files) < 10
    moments = (3.0, SMALL_FILES + 3.0)
    found = features.then("variant", [key("v", moment) for moment in moments])
    assert [one["judgements"] for one in found] == list(moments)


def test_an_unfinished_file_is_not_history(tmp_path: Path) -> None:
    history = History(tmp_path / "prompt")
    history.prepare()
    (tmp_path / "prompt.9-9.unfinished").write_bytes(b"half")
    assert [one.name for one in (tmp_path / "prompt").iterdir()] == ["nobody.parquet"]


@pytest.mark.parametrize(
    ("online", "kind"),
    [
        ("sqlite", "sqlite"),
        ("redis://:secret@cache:6380", "redis"),
        ("postgresql://user:secret@base/features", "postgres"),
    ],
)
def test_the_online_store_is_chosen_by_its_address(tmp_path: Path, online: str, kind: str) -> None:
    assert online_store(Place(tmp_path, online))["type"] == kind


def test_an_unknown_online_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sqlite, redis"):
        configuration(Place(tmp_path, "mysql://x"))


def asked(job: str, **given: Any) -> dict[str, Any]:
    return {"job": job, "given": given}


def test_the_worker_answers_a_line_with_a_line(tmp_path: Path) -> None:
    questions = [
        asked("write", kind="prompt", rows=[row("p", 1, 4)], batch="1-1"),
        asked("now", kind="prompt", rows=[key("p")]),
        asked("sing", kind="prompt", rows=[]),
        asked("now", kind="nothing", rows=[key("p")]),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "gyre_features", str(tmp_path), "sqlite"],
        input="".join(json.dumps(one) + "\n" for one in questions),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    ready, written, now, unknown, wrong = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    assert written == {"ok": 1}
    assert now["ok"][0]["judgements"] == 4
    assert set(now["ok"][0]) == set(FEATURES)
    assert "no question" in unknown["error"]
    assert "error" in wrong
