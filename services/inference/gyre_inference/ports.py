"""What answering needs from the world. Every method may raise a `Fault`; none hides one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gyre_inference.domain.allocation import Weighing
from gyre_inference.domain.chain_runs import ChainRun, RunEnding, RunHeader, StepRecord
from gyre_inference.domain.erasures import Erasure, ErasureRequest, Forgotten
from gyre_inference.domain.experiments import Experiment
from gyre_inference.domain.gates import Approval, Decision, GateWord
from gyre_inference.domain.generation import ModelRequest, Piece
from gyre_inference.domain.passages import Found, SearchFilter
from gyre_inference.domain.record import AnswerRecord, Failure
from gyre_inference.domain.registry import Holdings, Key, Kind, Move, Version
from gyre_inference.domain.rollouts import Doubt, Observation, Pair, Rollout
from gyre_inference.domain.sequential import Arm, Pairs
from gyre_inference.domain.served import ServedModels
from gyre_inference.domain.throttles import Throttle
from gyre_inference.domain.wishes import Wish


class PassageSearch(Protocol):
    """Passages of the caller's tenant, only of revisions in force."""

    async def search(
        self, question: str, collection: str, condition: SearchFilter, top_k: int
    ) -> Found:
        """Best first, at most `top_k`; none is a result. May be repeated.

        Raises `Unavailable` when search is down, `NotFound` when the collection does not exist.
        """
        ...


class SentenceVectors(Protocol):
    """Meaning of short texts."""

    async def similarities(self, question: str, lines: Sequence[str]) -> list[float]:
        """Cosine of the question and each line, in order; at most 255 lines. May be repeated.

        Raises `Unavailable` when the embedding service is down.
        """
        ...

    async def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """Their vectors in unit length, in order; at most 256. May be repeated.

        Raises `Unavailable` when the embedding service is down.
        """
        ...


class LanguageModel(Protocol):
    """One model server that writes text."""

    def write(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Pieces in order, the last one with its ending. Closing it early stops the model.

        Raises `Overloaded` when the queue is full, `Unavailable` when the model is missing, dead or
        silent for too long, `DeadlinePassed` after `request.timeout`, `InvalidRequest` when the
        model refuses the request as such.
        """
        ...

    async def version(self, model: str) -> str:
        """Hash or version of the model's files; empty when it cannot be told. Never raises."""
        ...


class Templates(Protocol):
    """Templates written by people who are trusted little: they run in a sandbox."""

    def names(self, template: str) -> frozenset[str]:
        """The names it uses. Raises `InvalidRequest` where it is no template, or no allowed one."""
        ...

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """Its text. Values are data: they are never read as templates. Raises `InvalidRequest`
        where a value is missing, the sandbox is left or the text grows too long."""
        ...

    def value(self, expression: str, values: Mapping[str, object]) -> object:
        """What a text with one expression and nothing else (`{{ found.passages }}`) stands for;
        of any other text, what `render` gives. Raises as `render` does."""
        ...


class Shelf(Protocol):
    """All versions of one name while they are changed; nobody else changes them meanwhile."""

    held: Holdings

    async def known(self, digest: str) -> Version | None:
        """The version of that content."""
        ...

    async def version(self, number: int) -> Version | None:
        """The version; the tenant's own hides the platform's."""
        ...

    async def keep(self, version: Version) -> None:
        """Adds a version and says so."""
        ...

    async def pin(self, label: str, number: int) -> None:
        """Makes a label of the platform the tenant's own; nothing changes, so nothing is said."""
        ...

    async def move(self, move: Move) -> None:
        """Moves a label and says so."""
        ...


@dataclass(frozen=True)
class LabelChange:
    """A label of a tenant, or of the platform, and the version that it points to."""

    key: Key
    label: str
    version: Version


class Registry(Protocol):
    """Versions and labels of every tenant, durable. Raises `Unavailable` when it is away."""

    def changing(self, key: Key) -> AbstractAsyncContextManager[Shelf]:
        """One change; it is durable, and its events too, when the block ends without an exception,
        else nothing happened."""
        ...

    async def revision(self) -> int:
        """Grows with every change of a label or an experiment."""
        ...

    async def changes(self, since: int) -> list[LabelChange]:
        """Labels changed after revision `since`."""
        ...

    async def holdings(self, key: Key) -> Holdings:
        """What is there under a name; empty where there is nothing."""
        ...

    async def version(self, key: Key, number: int) -> Version:
        """One version. Raises `NotFound`."""
        ...

    async def known(self, key: Key, digest: str) -> Version | None:
        """The version of that content."""
        ...

    async def versions(self, key: Key, below: int, limit: int) -> list[Version]:
        """Newest first, with numbers under `below`."""
        ...

    async def names(self, tenant: str, kind: Kind, after: str, limit: int) -> list[str]:
        """Names that the tenant sees, sorted, behind `after`."""
        ...

    async def moves(self, key: Key, limit: int) -> list[Move]:
        """Moves of its labels, newest first."""
        ...


class Experiments(Protocol):
    """Experiments of every tenant, durable. They share the registry's revision."""

    async def start(self, tenant: str, experiment: Experiment) -> Experiment:
        """Durable, and said. The same content again is the same experiment. Raises `Conflict`
        where the id has another content, or another one runs for the workload."""
        ...

    async def stop(self, tenant: str, experiment_id: str, author: str) -> Experiment:
        """Durable, and said; one that is stopped stays as it is. What judgements came to is its
        last weighing, and they are forgotten. Raises `NotFound`."""
        ...

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        """Raises `NotFound`."""
        ...

    async def list(
        self, tenant: str, running: bool, offset: int, limit: int
    ) -> Sequence[Experiment]:
        """Newest first."""
        ...

    async def changes(self, since: int) -> Sequence[tuple[str, Experiment]]:
        """Tenant and experiment, of those changed after revision `since`, oldest change first."""
        ...

    async def adaptive(self) -> Sequence[tuple[str, Experiment]]:
        """Of all tenants, those that run and whose shares move."""
        ...

    async def observe(self, observations: Sequence[Observation]) -> None:
        """Of one experiment, those that its allocation counts; the first one of a unit counts for a
        variant. Durable when it returns; may be repeated."""
        ...

    async def sums(self, tenant: str, experiment_id: str) -> Mapping[str, Arm]:
        """What was observed of a running one, by variant, without judgements that do not count any
        more: see `Rollouts.doubt`."""
        ...

    async def reweigh(self, tenant: str, experiment_id: str, weighing: Weighing) -> bool:
        """Durable, and said. False where it is not the next one of a running experiment: another
        process was faster."""
        ...

    async def weighings(self, tenant: str, experiment_id: str, limit: int) -> Sequence[Weighing]:
        """Newest first."""
        ...


class Records(Protocol):
    """Where answers are remembered."""

    async def generated(self, record: AnswerRecord) -> None:
        """Durable when it returns. Raises `Overloaded` when no more can be held."""
        ...

    async def failed(self, record: AnswerRecord, failure: Failure) -> None:
        """Durable when it returns. Raises `Overloaded` when no more can be held."""
        ...


@dataclass(frozen=True)
class HttpCall:
    """A call of an HTTP tool. key: the same for a repeat, so that the tool can tell.

    body: sent as JSON; None sends none. seconds: longest wait.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: object
    seconds: float
    key: str


class HttpTools(Protocol):
    """HTTP tools of hosts that an operator allows."""

    async def call(self, call: HttpCall) -> dict[str, object]:
        """`status` and `body`: JSON where it is JSON, else text. At least once: may be repeated.

        Raises `InvalidRequest` for an address that is not allowed, `Unavailable` when the tool does
        not answer, fails (5xx) or says too much, `DeadlinePassed` when it takes too long.
        """
        ...


class ChainRuns(Protocol):
    """Runs of chains, durable; kept for some days after their end."""

    async def begin(self, tenant: str, header: RunHeader, holder: str) -> ChainRun:
        """A new run, or what is known of the one with that id. The holder has it for `LEASE`
        seconds, renewed by `renew`, until `release` or `end`.

        Raises `Conflict` while another holder has it. One that ended is held by nobody.
        """
        ...

    async def keep(
        self, tenant: str, chain_run_id: str, holder: str, place: int, step: StepRecord
    ) -> None:
        """Durable when it returns. place: counts the steps of the run. Raises `Conflict` where
        the holder has lost the run."""
        ...

    async def renew(self, tenant: str, chain_run_id: str, holder: str) -> bool:
        """Whether the holder still has it."""
        ...

    async def release(self, tenant: str, chain_run_id: str, holder: str) -> None:
        """It may be gone on with at once. May be repeated."""
        ...

    async def end(
        self, tenant: str, chain_run_id: str, ending: RunEnding, record: AnswerRecord | None
    ) -> None:
        """The end and, where it is given, the answer's event are durable together or not at all."""
        ...

    async def get(self, tenant: str, chain_run_id: str) -> ChainRun:
        """Raises `NotFound`."""
        ...

    async def sweep(self, older: float) -> int:
        """Forgets runs that nobody touched for `older` seconds; how many."""
        ...


class Throttles(Protocol):
    """Callers that are held for a time; shared by all processes of the service."""

    async def hold(self, throttle: Throttle) -> None:
        """May be repeated; one that was lifted stays lifted."""
        ...

    async def lift(self, tenant: str, alert_id: str) -> None:
        """May be repeated, and may come before `hold`."""
        ...

    async def in_force(self, now: datetime) -> list[Throttle]:
        """Of all tenants, not over and not lifted."""
        ...


@dataclass(frozen=True)
class RolloutChanges:
    """What changed. champions: tenant, name that clients know, name on the model server."""

    champions: Sequence[tuple[str, str, str]] = ()
    rollouts: Sequence[Rollout] = ()


class Rollouts(Protocol):
    """Rollouts of every tenant, durable. They share the registry's revision."""

    async def start(self, rollout: Rollout) -> Rollout:
        """Durable, and said, with its experiment; with the creation key of one that is there, that
        one. Raises `Conflict` where another one runs for the name, or an experiment for the
        workload, and where the key stands for another thing."""
        ...

    async def change(self, before: Rollout, after: Rollout) -> Rollout:
        """The transition, what it puts in force (weights, champion, label) and its events: all of
        it, durably, or nothing. Raises `Conflict` where somebody else changed the rollout, or what
        it is to replace, meanwhile: so nothing is promoted twice. What was observed is forgotten
        at the end; the transitions have what it came to."""
        ...

    async def get(self, tenant: str, rollout_id: str) -> Rollout:
        """Raises `NotFound`."""
        ...

    async def list(self, tenant: str, running: bool, offset: int, limit: int) -> Sequence[Rollout]:
        """Newest first."""
        ...

    async def running(self) -> Sequence[Rollout]:
        """Of all tenants, not over."""
        ...

    async def take(self, tenant: str, rollout_id: str, holder: str) -> Rollout | None:
        """The rollout, for `LEASE` seconds the holder's alone, again where it is its own; None
        while another one has it, and where it is over."""
        ...

    async def release(self, tenant: str, rollout_id: str, holder: str) -> None:
        """May be repeated."""
        ...

    async def champion(self, tenant: str, name: str) -> str:
        """Name on the model server; empty where no rollout put one in force."""
        ...

    async def changes(self, since: int) -> RolloutChanges:
        """What changed after revision `since`, oldest change first."""
        ...

    async def observe(self, observations: Sequence[Observation]) -> None:
        """Those that count now; the first one of a unit counts for a metric and a step. Durable
        when it returns; may be repeated."""
        ...

    async def sums(
        self, tenant: str, rollout_id: str, step: int, *, doubted: bool = True
    ) -> Mapping[tuple[str, str], Arm]:
        """What was observed in one step, by metric and arm; doubted: with judgements that do not
        count any more."""
        ...

    async def doubt(self, tenant: str, doubt: Doubt) -> None:
        """Kept while a rollout of the tenant runs, or an experiment whose shares move; may come
        before its judgement. Durable when it returns; may be repeated, and an older word changes
        nothing."""
        ...

    async def seconds(self, tenant: str, rollout_id: str) -> Sequence[float]:
        """How long answers took before the canary."""
        ...

    async def pair(self, tenant: str, rollout_id: str, pair: Pair) -> None:
        """Durable when it returns, where it still counts; may be repeated."""
        ...

    async def pairs(self, tenant: str, rollout_id: str) -> Pairs:
        """How they came out."""
        ...

    async def gate_said(self, tenant: str, rollout_id: str, said: Decision | Approval) -> None:
        """Kept while the rollout runs, whatever its state is; the first verdict and the last
        approval count. Durable when it returns; may be repeated. Of others nothing is kept."""
        ...

    async def gate(self, tenant: str, rollout_id: str) -> GateWord:
        """What was said of its gate."""
        ...

    async def wish(self, wish: Wish) -> bool:
        """Durable when it returns. False where a newer one for the name, or the same, was wished
        before: then nothing changes."""
        ...

    async def wishes(self) -> Sequence[Wish]:
        """Of all tenants, those that wait, oldest first; at most one for a name."""
        ...

    async def fulfilled(self, wish: Wish) -> None:
        """It waits no more, unless a newer one took its place. May be repeated."""
        ...

    async def served(self, now: datetime, drain: float) -> ServedModels:
        """drain: seconds for which a candidate that was taken back stays loaded."""
        ...


class ModelServer(Protocol):
    """Which models the model server has."""

    async def states(self) -> Mapping[str, str]:
        """Name to state, as the server calls it (READY, LOADING, UNLOADING, UNAVAILABLE, or empty
        where it was never loaded). Raises `Unavailable`."""
        ...

    async def load(self, name: str) -> None:
        """Ready when it returns; may be repeated. Raises `Conflict` where the server cannot load
        it, `Unavailable` where it is away or takes too long."""
        ...

    async def unload(self, name: str) -> None:
        """Begun when it returns: it may never end. May be repeated. Raises `Unavailable`."""
        ...


class ModelShelf(Protocol):
    """Puts models of the model store into the model server's repository."""

    async def place(self, name: str, uri: str) -> None:
        """There when it returns; the same content may be placed again. Raises `Conflict` where it
        cannot be, e.g. because the name has other content."""
        ...


LEASE = 15.0
"""Seconds; a process that died holds a run, or a rollout, no longer."""


class Erasures(Protocol):
    """People who are to be forgotten."""

    async def begin(self, tenant: str, principal: str, request: ErasureRequest) -> Erasure:
        """Durable, and said as `ErasureRequested`, when it returns; what is kept here is erased
        behind the scenes. The same creation key is the same erasure.

        Raises `Conflict` where the key stands for another person.
        """
        ...

    async def get(self, tenant: str, erasure_id: str) -> Erasure:
        """Raises `NotFound`."""
        ...

    async def forgotten(self, tenant: str, erasure_id: str, by: Forgotten) -> None:
        """A service is done; the last one completes it. May be repeated; an erasure that is not
        known is passed over."""
        ...
