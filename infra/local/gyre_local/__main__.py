"""`python -m gyre_local up | down | status | logs | run`: the whole platform on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from gyre_local import ports
from gyre_local.models import ModelsError, prepare_models
from gyre_local.platform import Platform, relative, write_environment
from gyre_local.program import State
from gyre_local.settings import LocalSettings
from gyre_local.supervisor import Supervisor

app = typer.Typer(
    help="The whole platform on this machine, no Docker needed.", no_args_is_help=True
)
console = Console(highlight=False)
GOOD = (State.HEALTHY, State.DONE)


@app.command()
def up() -> None:
    """Start everything in the background and wait until it is healthy. Example: make up"""
    _up(LocalSettings())


def _up(settings: LocalSettings, environment: Mapping[str, str] | None = None) -> None:
    """environment: of every process, besides this one's."""
    if _alive(settings):
        console.print("The platform is up already.")
        return
    settings.state.mkdir(parents=True, exist_ok=True)
    (settings.state / "status.json").unlink(missing_ok=True)
    with console.status("Preparing models (the first time takes half a minute) ..."):
        _prepare(settings)
    log = settings.state / "log" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "gyre_local", "run", "--prepared"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "GYRE_LOCAL_STATE": str(settings.state), **(environment or {})},
        )
    _wait_until_up(settings, process)


@app.command()
def demo(
    docs: Annotated[
        Path | None,
        typer.Option(help="A folder of your own documents.", exists=True, file_okay=False),
    ] = None,
) -> None:
    """Start everything, ingest the demo documents or yours, ask five questions.

    Example: python -m gyre_local demo --docs ~/manuals
    """
    from gyre_client import GyreError

    from gyre_local.demo import demo as show

    up()
    try:
        asyncio.run(show(console, LocalSettings().state / "platform.env", docs))
    except (GyreError, TimeoutError) as error:
        console.print(f"[red]error[/] {error!r}")
        raise typer.Exit(1) from error


@app.command()
def loop(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with FeedbackQA instead of the demo.", exists=True),
    ] = None,
    keep: Annotated[bool, typer.Option(help="Leave the platform running.")] = False,
) -> None:
    """Show judgements becoming models that are promoted, refused and rolled back.

    It has a platform of its own, made anew each time: what `up` runs and keeps is not touched.
    Example: python -m gyre_local loop
    """
    from gyre_client import GyreError

    from gyre_local.loop.material import demo_material, feedbackqa_material
    from gyre_local.loop.setting import settings_of_the_loop
    from gyre_local.loop.show import addresses_in, show
    from gyre_local.loop.story import LoopError

    began = time.monotonic()
    main = LocalSettings()
    settings = main.model_copy(update={"state": main.state / "loop", "start_timeout": 600.0})
    _down(settings)
    _renew(main.state / "models", settings.state)
    material = feedbackqa_material(data, settings.state / "articles") if data else demo_material()
    _up(settings, settings_of_the_loop())
    try:
        environment = addresses_in(settings.state / "platform.env")
        out = main.state / "loop.json"
        asyncio.run(show(console, environment, material, out, began))
    except (GyreError, LoopError, TimeoutError, ExceptionGroup) as error:
        console.print(
            f"[red]error[/] {error!r}; the logs are in {relative(settings.state / 'log')}"
        )
        raise typer.Exit(1) from error
    finally:
        if keep:
            console.print(f"The platform runs on: GYRE_LOCAL_STATE={relative(settings.state)}")
        else:
            _down(settings)


def _renew(models: Path, state: Path) -> None:
    """An empty folder, but for the exported models."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    models.mkdir(parents=True, exist_ok=True)
    (state / "models").symlink_to(models.absolute())


@app.command()
def run(
    prepared: Annotated[bool, typer.Option(help="The models are prepared already.")] = False,
) -> None:
    """Run everything in the foreground until Ctrl-C."""
    settings = LocalSettings()
    if not prepared:
        _prepare(settings)
    platform = Platform(settings, ports.choose(settings.state / "ports.json"))
    write_environment(settings.state / "platform.env", platform.environment())
    raise typer.Exit(0 if asyncio.run(_supervise(settings, platform)) else 1)


@app.command()
def down() -> None:
    """Stop everything cleanly; what was stored stays."""
    _down(LocalSettings())


def _down(settings: LocalSettings) -> None:
    pid = _alive(settings)
    if pid is None:
        console.print("The platform is not up.")
        return
    os.kill(pid, signal.SIGTERM)
    with console.status("Stopping ..."):
        while _alive(settings):
            time.sleep(0.2)
    console.print("The platform is down.")


@app.command()
def status() -> None:
    """Show every process: state, address, restarts, log."""
    settings = LocalSettings()
    if _alive(settings) is None:
        console.print("The platform is not up; start it with `make up`.")
        raise typer.Exit(3)
    console.print(_table(_read(settings)))


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="Program, e.g. ingestion; empty means all.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay and show new lines.")
    ] = False,
) -> None:
    """Show the last lines of the logs. Example: python -m gyre_local logs ingestion -f"""
    found = sorted((LocalSettings().state / "log").glob(f"{name or '*'}.log"))
    if not found:
        console.print(f"There is no log of {name!r}.")
        raise typer.Exit(4)
    options = ["-n", "40", *(["-F"] if follow else [])]
    raise typer.Exit(subprocess.call(["tail", *options, *map(str, found)]))


def _prepare(settings: LocalSettings) -> None:
    try:
        prepare_models(settings)
    except ModelsError as error:
        console.print(f"[red]error[/] {error}")
        raise typer.Exit(1) from error


async def _supervise(settings: LocalSettings, platform: Platform) -> bool:
    supervisor = Supervisor(platform.programs(), settings.state, stop_timeout=settings.stop_timeout)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    return await supervisor.run()


def _wait_until_up(settings: LocalSettings, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + settings.start_timeout
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while time.monotonic() < deadline and process.poll() is None:
            programs = _read(settings)
            live.update(_table(programs))
            if programs and all(one["state"] in GOOD for one in programs.values()):
                console.print(f"{len(programs)} programs are up.")
                return
            time.sleep(0.2)
    console.print(_table(_read(settings)))
    log = relative(settings.state / "log")
    console.print(f"[red]error[/] the platform did not come up; the logs are in {log}")
    if process.poll() is None:
        process.terminate()
        process.wait()
    raise typer.Exit(1)


def _read(settings: LocalSettings) -> dict[str, Any]:
    path = settings.state / "status.json"
    return dict(json.loads(path.read_text())["programs"]) if path.exists() else {}


def _alive(settings: LocalSettings) -> int | None:
    """Process id of the supervisor, None when there is none."""
    path = settings.state / "status.json"
    if not path.exists():
        return None
    pid = int(json.loads(path.read_text())["pid"])
    command = Path(f"/proc/{pid}/cmdline")
    return pid if command.exists() and b"gyre_local" in command.read_bytes() else None


def _table(programs: dict[str, Any]) -> Table:
    table = Table("program", "state", "address", "restarts", "detail")
    for name, one in programs.items():
        color = "green" if one["state"] in GOOD else "yellow"
        color = "red" if one["state"] == State.FAILED else color
        state = f"[{color}]{one['state']}[/]"
        table.add_row(name, state, one["address"], str(one["restarts"]), one["detail"])
    return table


if __name__ == "__main__":
    app()
