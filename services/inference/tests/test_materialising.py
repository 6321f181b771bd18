"""`ModelShelf` kept by a program of another environment, and by its twin in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gyre_inference.adapters.materialising import CommandShelf
from gyre_inference.adapters.memory_rollouts import MemoryModelServer, MemoryModelShelf
from gyre_inference.domain.faults import Conflict, Unavailable
from gyre_inference.ports import ModelShelf

# What `gyre_models materialise` promises: a name never changes its content.
PROGRAM = """
import shutil, sys
from pathlib import Path
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder, source = Path(given["--repository"]) / given["--name"], Path(given["--model-dir"])
if folder.exists() and (folder / "w").read_text() != (source / "w").read_text():
    sys.exit(f"error: {folder.name} has other content already")
shutil.copytree(source, folder, dirs_exist_ok=True)
"""


@pytest.fixture(params=["memory", "command"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> ModelShelf:
    if request.param == "memory":
        return MemoryModelShelf(MemoryModelServer(), {"one": "1", "two": "2"})
    for name, content in (("one", "1"), ("two", "2")):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "w").write_text(content)
    program = tmp_path / "place.py"
    program.write_text(PROGRAM)
    return CommandShelf([sys.executable, str(program)], tmp_path / "store", tmp_path / "repository")


async def test_a_model_may_be_placed_again(shelf: ModelShelf) -> None:
    for _ in range(2):
        await shelf.place("llm-1", "one")


async def test_a_name_never_changes_its_content(shelf: ModelShelf) -> None:
    await shelf.place("llm-1", "one")
    with pytest.raises(Conflict, match="other content"):
        await shelf.place("llm-1", "two")


async def test_what_is_not_in_the_store_is_not_placed(shelf: ModelShelf) -> None:
    with pytest.raises(Conflict):
        await shelf.place("llm-1", "nowhere")


async def test_a_folder_outside_of_the_store_is_not_placed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "secret").mkdir()
    shelf = CommandShelf([sys.executable, "-c", ""], tmp_path / "store", tmp_path)
    for uri in ("../secret", str(tmp_path / "secret"), f"file://{tmp_path / 'secret'}"):
        with pytest.raises(Conflict, match="no folder of the model store"):
            await shelf.place("llm-1", uri)


async def test_without_a_program_nothing_is_placed(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="no command"):
        await CommandShelf((), tmp_path, tmp_path).place("llm-1", "one")


async def test_what_ends_a_program_from_outside_is_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    killed = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    for command in (killed, [str(tmp_path / "no-such-program")]):
        with pytest.raises(Unavailable):
            await CommandShelf(command, tmp_path, tmp_path).place("llm-1", "one")


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    hang = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(Unavailable, match="was not placed"):
        await CommandShelf(hang, tmp_path, tmp_path, seconds=0.2).place("llm-1", "one")
