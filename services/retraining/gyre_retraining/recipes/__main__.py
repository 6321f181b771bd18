"""`python -m gyre_retraining.recipes run --job DIR | check FILE...`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gyre_retraining.recipes.schema import RecipeError, read, recipe_hash


def main(arguments: list[str] | None = None) -> int:
    """The exit code of the command: 0 done, 2 failed, 75 stopped and to be started again."""
    asked = _parser().parse_args(arguments)
    code: int = asked.run(asked)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gyre_retraining.recipes", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run a job's folder, or go on with it")
    run.add_argument("--job", type=Path, required=True, help="the folder that holds job.json")
    run.set_defaults(run=_run)
    check = commands.add_parser("check", help="read recipes and print their hashes")
    check.add_argument("recipes", type=Path, nargs="+", help="YAML files")
    check.set_defaults(run=_check)
    return parser


def _run(asked: argparse.Namespace) -> int:
    from gyre_retraining.recipes.run import run

    return run(asked.job.absolute())


def _check(asked: argparse.Namespace) -> int:
    try:
        for path in asked.recipes:
            print(f"{recipe_hash(read(path))}  {path}")
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
