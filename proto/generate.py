"""Writes libs/contracts/gyre from proto/: messages, gRPC stubs and their types (`make proto`)."""

from __future__ import annotations

import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).parent
OUTPUT = PROTO.parent / "libs" / "contracts"


def generate(output: Path) -> None:
    """Replaces `output`/gyre by what the .proto files say."""
    shutil.rmtree(output / "gyre", ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    services = [source for source in sources if "service " in _code(PROTO / source)]
    _protoc(sources, f"--python_out={output}", f"--mypy_out=quiet:{output}")
    _protoc(services, f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}")
    for package in sorted({(output / source).parent for source in sources}):
        (package / "py.typed").touch()


def _code(path: Path) -> str:
    return "\n".join(
        line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("//")
    )


def _protoc(sources: list[str], *outputs: str) -> None:
    scripts = Path(sys.executable).parent
    names = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    plugins = [f"--plugin={name}={scripts / name}" for name in names]
    includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
    if protoc.main(["protoc", *includes, *plugins, *outputs, *sources]) != 0:
        raise SystemExit("protoc failed; see the message above")


def check() -> None:
    """Ends with an error while the committed files are not what the .proto files say."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = sorted(_differences(Path(folder) / "gyre", OUTPUT / "gyre"))
    if stale:
        raise SystemExit(f"run `make proto`, these are not up to date: {', '.join(stale)}")


def _differences(made: Path, committed: Path) -> list[str]:
    names = {
        str(path.relative_to(root))
        for root in (made, committed)
        for path in root.rglob("*.py*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    same, *_ = filecmp.cmpfiles(made, committed, names, shallow=False)
    return list(names - set(same))


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else generate(OUTPUT)
