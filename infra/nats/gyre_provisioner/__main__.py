"""`python -m gyre_provisioner`: makes what is missing and says what has drifted."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from nats.errors import NoServersError

from gyre_provisioner.provision import PARTS, Settings, provision

DRIFTED = 1
UNREACHABLE = 69
_ADDRESSES = "GYRE_NATS_URL, GYRE_TRITON_ADDRESS or GYRE_RETRIEVAL_ADDRESS"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 all is as planned, 1 something differs, 69 a server is away."""
    options = _parser().parse_args(arguments)
    try:
        parts = options.parts or tuple(PARTS)
        work = provision(Settings(), parts, check=options.check, apply=options.apply)
        left = asyncio.run(work)
    except (OSError, TimeoutError, NoServersError) as error:
        sys.stderr.write(f"a server is away ({error!r}): start it, or set {_ADDRESSES}\n")
        return UNREACHABLE
    for difference in left:
        sys.stdout.write(f"{difference}\n")
    sys.stdout.write("differences: see above\n" if left else "all is as planned\n")
    return DRIFTED if left else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gyre_provisioner",
        description="Makes streams, consumers, buckets and collections that are missing, loads "
        "models; prints what differs from the plan. Removes nothing. May be repeated.",
        epilog="example: python -m gyre_provisioner bus --check",
    )
    known = ", ".join(PARTS)
    parser.add_argument(
        "parts", nargs="*", type=_part, metavar="PART", help=f"{known}; without one, all of them"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="change nothing, only compare")
    mode.add_argument("--apply", action="store_true", help="set right what has drifted, too")
    return parser


def _part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return name


if __name__ == "__main__":
    raise SystemExit(main())
