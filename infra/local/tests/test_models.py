"""Models are prepared anew at each start; what services placed beside them stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from gyre_local import models
from gyre_local.models import EMBEDDER, QUERY_EMBEDDER, prepare_models
from gyre_local.settings import LocalSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSettings:
    """Whose program for models makes a folder and nothing in it."""

    def run(settings: LocalSettings, *arguments: str) -> None:
        given = dict(zip(arguments[1::2], arguments[2::2], strict=False))
        if arguments[0] == "materialise":
            (Path(given["--repository"]) / given["--name"]).mkdir(parents=True)

    monkeypatch.setattr(models, "_run", run)
    (tmp_path / "models" / f"{EMBEDDER}-openvino").mkdir(parents=True)
    return LocalSettings(state=tmp_path)


def test_what_services_placed_stays(settings: LocalSettings) -> None:
    repository = prepare_models(settings)
    placed = ("emb-minilm-v2", "emb-minilm-v2-query", "llm-gyre-reader-v2-0123abcd")
    for name in placed:
        (repository / name).mkdir()
        (repository / name / "config.pbtxt").write_text("kept")
    prepare_models(settings)
    assert all((repository / name / "config.pbtxt").read_text() == "kept" for name in placed)


def test_models_of_the_settings_are_made_anew(settings: LocalSettings) -> None:
    repository = prepare_models(settings)
    own = (EMBEDDER, QUERY_EMBEDDER, settings.model_name)
    for name in own:
        (repository / name / "old").touch()
    prepare_models(settings)
    assert not [name for name in own if (repository / name / "old").exists()]
