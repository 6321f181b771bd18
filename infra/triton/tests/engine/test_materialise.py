"""Model folders in a repository: immutable, safetensors only, hashes checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from gyre_models.__main__ import main
from gyre_models.manifest import ManifestError, check_manifest, write_manifest
from gyre_models.materialise import MaterialiseError, materialise
from gyre_models.torch_engine.checkpoint import load
from gyre_models.torch_engine.settings import EngineSettings


@pytest.fixture
def source(llama_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_dir, tmp_path / "source"))


def test_a_materialised_model_holds_all_that_triton_needs(source: Path, tmp_path: Path) -> None:
    (source / "evil.py").write_text("raise SystemExit")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    folder = materialise("torch", source, "llm-1", tmp_path / "repository", {"slots": 4})
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"config.pbtxt", "1/model.py", "1/engine.json", "1/weights/SHA256SUMS"} <= names
    assert "1/weights/model.safetensors" in names
    assert not {"1/weights/evil.py", "1/weights/pytorch_model.bin"} & names
    assert json.loads((folder / "1" / "engine.json").read_text())["slots"] == 4
    assert load(folder / "1" / "weights", EngineSettings()).vocabulary > 256


def test_a_repeat_changes_nothing_and_other_content_needs_another_name(
    source: Path, tmp_path: Path
) -> None:
    first = materialise("torch", source, "llm-1", tmp_path / "repository")
    assert materialise("torch", source, "llm-1", tmp_path / "repository") == first
    with pytest.raises(MaterialiseError, match="choose a new name"):
        materialise("torch", source, "llm-1", tmp_path / "repository", {"slots": 2})
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["llm-1"]


def test_changed_weights_are_refused_at_load(source: Path, tmp_path: Path) -> None:
    folder = materialise("torch", source, "llm-1", tmp_path / "repository")
    weights = folder / "1" / "weights" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    with pytest.raises(ManifestError, match=r"model\.safetensors does not have"):
        load(weights.parent, EngineSettings())


def test_a_manifest_tells_missing_and_strange_files(source: Path) -> None:
    assert not check_manifest(source)
    write_manifest(source)
    assert check_manifest(source)
    (source / "strange.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"strange\.json"):
        check_manifest(source)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_without_its_files_is_refused_by_name(
    source: Path, tmp_path: Path, name: str
) -> None:
    (source / name).unlink()
    with pytest.raises(MaterialiseError, match=name):
        materialise("torch", source, "llm-1", tmp_path / "repository")


@pytest.mark.parametrize(
    ("name", "settings"), [("../up", {}), ("UP", {}), ("ok", {"slots": 0}), ("ok", {"slotz": 1})]
)
def test_bad_names_and_settings_are_refused(
    source: Path, tmp_path: Path, name: str, settings: dict[str, int]
) -> None:
    with pytest.raises(MaterialiseError):
        materialise("torch", source, name, tmp_path / "repository", settings)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--engine", "torch", "--name", "x", "--repository", str(tmp_path / "r")]
    assert main(["materialise", "--model-dir", str(tmp_path / "none"), *common]) == 1
    assert "no model directory" in capsys.readouterr().err
