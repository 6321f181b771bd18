"""What a release brings along: `prompts/<name>/<version>.yaml`, `chains/<name>/<version>.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from google.protobuf.json_format import ParseDict, ParseError
from gyre.inference.v1 import prompt_pb2

from gyre_inference import wire
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.registry import Draft, Kind
from gyre_inference.use_cases.built_in import AUTHOR, BuiltInFile
from gyre_inference.use_cases.manage_chains import ManageChains
from gyre_inference.use_cases.prompts import ManagePrompts

PROMPTS = Path(__file__).parents[1] / "prompts"
CHAINS = Path(__file__).parents[1] / "chains"
_MESSAGE = "comes with the platform"


class BuiltInError(ValueError):
    """A file is not valid; the message names it and says what is wrong."""


def built_in_prompts(folder: Path, prompts: ManagePrompts) -> list[BuiltInFile]:
    """All of them, checked. Raises `BuiltInError`."""

    def read(path: Path) -> Draft:
        data = yaml.safe_load(path.read_text("utf-8"))
        if (data.pop("name", None), str(data.pop("version", ""))) != _place(path):
            raise ValueError("name and version must be those of the file")
        content = wire.prompt_content_of(ParseDict(data, prompt_pb2.PromptContent()))
        return prompts.draft(content, _MESSAGE, AUTHOR, ())

    return list(_files(folder, Kind.PROMPT, read))


def built_in_chains(folder: Path, chains: ManageChains) -> list[BuiltInFile]:
    """All of them, checked. Raises `BuiltInError`."""

    def read(path: Path) -> Draft:
        name, draft = chains.draft(path.read_text("utf-8"), _MESSAGE, AUTHOR, ())
        if name != path.parent.name:
            raise ValueError("the name must be that of the folder")
        return draft

    return list(_files(folder, Kind.CHAIN, read))


def _files(folder: Path, kind: Kind, read: Callable[[Path], Draft]) -> Iterator[BuiltInFile]:
    for path in sorted(folder.glob("*/*.yaml")):
        name, number = _place(path)
        try:
            if not number.isdecimal() or int(number) < 1:
                raise ValueError("the file's name must be its version, a number from 1 on")
            yield BuiltInFile(kind, name, int(number), read(path))
        except (ValueError, AttributeError, ParseError, yaml.YAMLError, InvalidRequest) as error:
            raise BuiltInError(f"{path}: {error}") from error


def _place(path: Path) -> tuple[str, str]:
    return path.parent.name, path.stem
