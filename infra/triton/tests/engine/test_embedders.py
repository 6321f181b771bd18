"""A trained sentence encoder in a repository: converted once, placed twice, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gyre_models import embedders
from gyre_models.__main__ import main
from gyre_models.embedders import TEXTS, place_embedder
from gyre_models.manifest import content_hash, write_manifest
from gyre_models.materialise import MaterialiseError, content_of
from gyre_models.openvino_engine.encoder import Encoder
from gyre_models.openvino_engine.settings import EngineSettings
from gyre_models.tiny import make_encoder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def repository(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("repository")
    place_embedder(trained, "emb-tiny-v1", found)
    return found


def test_it_lies_there_twice_and_tells_the_content_of_the_registry(
    trained: Path, repository: Path
) -> None:
    names = {"emb-tiny-v1", "emb-tiny-v1-query"}
    assert {folder.name for folder in repository.iterdir()} == names
    assert {content_of(repository / name) for name in names} == {content_hash(trained)}
    bulk, twin = (Encoder(repository / name / "1/weights", EngineSettings()) for name in names)
    assert (bulk.embed(TEXTS).vectors * twin.embed(TEXTS).vectors).sum(axis=1).min() > 0.999


def test_a_repeat_converts_nothing_and_ends_what_was_broken_off(
    trained: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(repository / "emb-tiny-v1-query")
    monkeypatch.setattr(embedders, "_convert", None)
    for _ in range(2):
        place_embedder(trained, "emb-tiny-v1", repository)
    assert content_of(repository / "emb-tiny-v1-query") == content_hash(trained)


def test_a_taken_name_is_refused(trained: Path, repository: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    write_manifest(other)
    with pytest.raises(MaterialiseError, match="other content"):
        place_embedder(other, "emb-tiny-v1", repository)


def test_what_is_not_what_was_trained_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = Path(shutil.copytree(trained, tmp_path / "damaged"))
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    where = ["--name", "emb-x-v1", "--repository", str(tmp_path / "repository")]
    assert main(["materialise-embedder", "--model-dir", str(damaged), *where]) == 1
    assert "sha256" in capsys.readouterr().err.strip().splitlines()[-1]
    (damaged / "SHA256SUMS").unlink()
    with pytest.raises(MaterialiseError, match="SHA256SUMS"):
        place_embedder(damaged, "emb-x-v1", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("what", ["pooling", "architecture", "vectors"])
def test_what_cannot_be_served_as_it_was_trained_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    strange = Path(shutil.copytree(trained, tmp_path / "strange"))
    if what == "pooling":
        (strange / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    elif what == "architecture":
        (strange / "config.json").write_text('{"model_type": "nothing-known"}')
    else:
        monkeypatch.setattr(embedders, "LEAST_COSINE", 1.1)
    write_manifest(strange)
    with pytest.raises(MaterialiseError, match=r"mean over tokens|converted|cosine"):
        place_embedder(strange, "emb-x-v1", tmp_path / "repository")
    assert list((tmp_path / "repository").glob("*")) == []
