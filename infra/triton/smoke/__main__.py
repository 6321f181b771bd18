"""Asks a Triton server every line of the contract; exit code 0 where none failed.

python -m infra.triton.smoke --address HOST:8001 --model NAME --metrics http://HOST:8002/metrics
python -m infra.triton.smoke --image gyre/triton-gpu:0.1.0 --engine trtllm --model-dir DIR
python -m infra.triton.smoke                     # engine torch and the reference model, here
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from gyre_local.settings import LocalSettings

from infra.triton.smoke.lines import LINES, Bench, Line, Skipped
from infra.triton.smoke.server import Served, Wanted, served
from infra.triton.smoke.wire import WireClient


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    with _server(options) as server:
        client = WireClient(server.address, server.model)
        try:
            client.ready(options.wait)
            bench = Bench(client, server.model, options.adapter, server.metrics_url, options.flood)
            return told(bench, LINES)
        except grpc.RpcError as error:
            print(f"FAIL  {server.model} at {server.address} does not answer: {error.code().name}")
            return 1
        finally:
            client.channel.close()


def told(bench: Bench, lines: Iterable[Line]) -> int:
    """One printed line each; 0 where none failed, else 1."""
    verdicts = [_verdict(bench, line) for line in lines]
    counts = [sum(word == one for one in verdicts) for word in ("pass", "FAIL", "skip")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0


def _verdict(bench: Bench, line: Line) -> str:
    try:
        line(bench)
        verdict, why = "pass", ""
    except Skipped as reason:
        verdict, why = "skip", f": {reason}"
    # Whatever breaks is this line's verdict; the lines after it are still asked.
    except Exception as error:
        verdict, why = "FAIL", f": {error or type(error).__name__}"
    print(f"{verdict}  {line.__name__.replace('_', ' ')}{why}", flush=True)
    return verdict


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[Served]:
    if options.address:
        yield Served(options.address, options.metrics, options.model)
        return
    wanted = Wanted(options.engine, options.model_dir, options.image, options.set)
    with TemporaryDirectory(prefix="gyre-smoke-") as state:
        Path(state).chmod(0o755)
        with served(wanted, Path(state)) as server:
            yield server


def _options(arguments: list[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m infra.triton.smoke", description=__doc__, formatter_class=shape
    )
    parser.add_argument("--address", default="", help="gRPC address of a running server")
    parser.add_argument("--model", default="gyre-reader", help="its model's name")
    parser.add_argument("--metrics", default="", help="address of its metrics page")
    parser.add_argument("--adapter", default="", help="a LoRA adapter of the model")
    parser.add_argument("--flood", type=int, default=600, help="more requests than it may hold")
    parser.add_argument("--wait", type=float, default=1200, help="seconds until it is ready")
    parser.add_argument("--engine", default="torch", choices=["torch", "trtllm"])
    parser.add_argument("--model-dir", type=Path, default=LocalSettings().model_dir)
    parser.add_argument("--image", default="", help="serve it with this Docker image")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
