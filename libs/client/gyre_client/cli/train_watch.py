"""A training that is followed: a bar and a curve on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gyre_client.cli.curve import LABEL, curve
from gyre_client.cli.output import FAILED, INTERRUPTED, console, print_json, stderr
from gyre_client.client import Gyre
from gyre_client.training import Training

LINES = 20
WIDEST = 80
CODES = {"succeeded": 0, "cancelled": INTERRUPTED}


class Display(Protocol):
    """Shows moments of one training."""

    def show(self, training: Training) -> None: ...


async def followed(gyre: Gyre, training_id: str, *, as_json: bool) -> int:
    """Shows the training until it ends; its exit code."""
    last: Training | None = None
    with _display(as_json) as display:
        async for last in gyre.training.watch(training_id):
            display.show(last)
    if last is None:
        return FAILED
    if not as_json:
        console.print(ending(last), markup=False)
    return CODES.get(last.state, FAILED)


@contextmanager
def _display(as_json: bool) -> Iterator[Display]:
    if as_json:
        yield Moments()
    elif stderr.is_terminal:
        picture = Picture(stderr)
        with Live(picture, console=stderr, refresh_per_second=4):
            yield picture
    else:
        yield Lines(stderr)


class Moments:
    """One JSON value on a line for each."""

    def show(self, training: Training) -> None:
        print_json(training)


class Lines:
    """A line for each change of state, for new metrics, and for every twentieth of the steps."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[object, ...] = ()

    def show(self, training: Training) -> None:
        part = LINES * training.step // training.steps if training.steps else 0
        now = (training.state, part, tuple(sorted(training.metrics.items())))
        if now != self._shown:
            self._shown = now
            self._console.print(line(training), markup=False)


class Picture:
    """What `rich` draws again and again: the bar, the curve of the loss, the last metrics."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._losses: dict[int, float] = {}
        self._training: Training | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("", total=None, note="")

    def show(self, training: Training) -> None:
        self._training = training
        if training.loss is not None:
            self._losses[training.step] = training.loss
        self._bar.update(
            self._task,
            description=f"{training.recipe} {training.state}",
            total=training.steps or None,
            completed=training.step,
            note="" if training.loss is None else f"loss {training.loss:.4g}",
        )

    def __rich__(self) -> Group:
        steps = self._training.steps if self._training else 0
        width = max(10, min(self._console.width - LABEL - 4, WIDEST))
        rows = curve(self._losses, steps, width=width)
        metrics = metrics_of(self._training) if self._training else ""
        texts = [Text(one, no_wrap=True) for one in (*rows, metrics) if one]
        return Group(self._bar, *texts)


def line(training: Training) -> str:
    """One moment on one line."""
    steps = f"step {training.step} of {training.steps}" if training.steps else ""
    loss = "" if training.loss is None else f"loss {training.loss:.4g}"
    parts = (f"{training.recipe} {training.state}", steps, loss, metrics_of(training))
    return ", ".join(filter(None, parts))


def metrics_of(training: Training) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(training.metrics.items()))


def ending(training: Training) -> str:
    """What came of it."""
    if training.state == "succeeded":
        return f"model {training.model}; its card: gyre models show {training.model}"
    why = ": ".join(filter(None, (training.reason, training.detail)))
    return f"training {training.training_id} {training.state}" + (f", {why}" if why else "")
