"""A chain's definition is read and checked: `docs/chains.md` says what it may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import yaml

from gyre_inference.domain.chains import Budget, Chain, Step, StepKind
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import Parameters, parameters_in
from gyre_inference.domain.prompt_text import digest_of
from gyre_inference.domain.registry import NAME, name_violations
from gyre_inference.domain.requests import parameter_violations
from gyre_inference.domain.step_forms import FORMS, STEPS_IN, texts_in

NamesOf = Callable[[str], frozenset[str]]
_BYTES = 64 * 1024
_STEPS = 64
_DEPTH = 4
_FIELDS = frozenset({"name", "version", "description", "inputs", "budget", "steps", "output"})
_SAMPLING = frozenset(one.name for one in fields(Parameters))
_BUDGET = {"tokens": (1, 10_000_000), "seconds": (0.001, 3600)}


def chain_of(definition: str, version: str, names_of: NamesOf) -> Chain:
    """names_of: the names that a template uses; raises `InvalidRequest` for a bad one.

    Raises `InvalidRequest` with every rule that is broken, by its place.
    """
    if len(definition.encode()) > _BYTES:
        raise InvalidRequest({"definition": f"must have at most {_BYTES} bytes"})
    try:
        data = yaml.safe_load(definition)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidRequest({"definition": f"is no YAML: {error}"}) from error
    if not isinstance(data, Mapping):
        raise InvalidRequest({"definition": "must be a mapping with `name` and `steps`"})
    reading = _Reading(names_of)
    chain = reading.chain(data, version, digest_of(definition))
    if reading.broken:
        raise InvalidRequest(reading.broken)
    return chain


@dataclass
class _Reading:
    """One definition; what is wrong gathers in `broken`."""

    names_of: NamesOf
    broken: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def chain(self, data: Mapping[str, Any], version: str, digest: str) -> Chain:
        self._only("definition", data, _FIELDS)
        name = str(data.get("name", ""))
        self.broken |= dict(name_violations(name))
        inputs = self._mapping("inputs", data.get("inputs"))
        steps = self._steps("steps", data.get("steps"), set(map(str, inputs)), 1)
        output = str(data.get("output") or (steps[-1].name if steps else ""))
        if output not in {step.name for step in steps} and not self.broken:
            self.broken["output"] = "must name a step of the chain's own"
        return Chain(
            name=name,
            version=version,
            digest=digest,
            steps=steps,
            output=output,
            inputs={str(key): value for key, value in inputs.items() if value is not None},
            needed=frozenset(str(key) for key, value in inputs.items() if value is None),
            budget=self._budget(data.get("budget")),
            description=str(data.get("description", "")),
        )

    def _steps(self, where: str, data: Any, seen: set[str], depth: int) -> tuple[Step, ...]:
        if not isinstance(data, Sequence) or isinstance(data, str) or not data:
            self.broken[where] = "must be a list of steps"
            return ()
        if depth > _DEPTH:
            self.broken[where] = f"must not be inside of more than {_DEPTH - 1} other steps"
            return ()
        found: list[Step] = []
        for place, one in enumerate(data):
            step = self._step(f"{where}[{place}]", one, seen, depth)
            if step is not None:
                found.append(step)
                seen = seen | {step.name}
        return tuple(found)

    def _step(self, where: str, data: Any, seen: set[str], depth: int) -> Step | None:
        kinds = [kind for kind in StepKind if isinstance(data, Mapping) and kind.value in data]
        if len(kinds) != 1:
            told = ", ".join(kind.value for kind in StepKind)
            self.broken[where] = f"must have `name` and one of: {told}"
            return None
        kind = kinds[0]
        self._only(where, data, {"name", kind.value})
        name = str(data.get("name", ""))
        self._name(where, name)
        given = self._mapping(f"{where}.{kind.value}", data[kind.value])
        self._arguments(f"{where}.{kind.value}", kind, given, seen)
        then, other = self._inside(f"{where}.{kind.value}", kind, given, seen, depth)
        plain = {key: value for key, value in given.items() if key not in STEPS_IN.get(kind, ())}
        return Step(name, kind, plain, then, other)

    def _inside(
        self, where: str, kind: StepKind, given: Mapping[str, Any], seen: set[str], depth: int
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        if kind not in STEPS_IN:
            return (), ()
        first, second = STEPS_IN[kind]
        if kind is StepKind.MAP:
            self._name(f"{where}.as", str(given.get("as", "")))
            seen = seen | {str(given.get("as", ""))}
        then = self._steps(f"{where}.{first}", given.get(first), seen, depth + 1)
        if second in given:
            return then, self._steps(f"{where}.{second}", given[second], seen, depth + 1)
        return then, ()

    def _name(self, where: str, name: str) -> None:
        """A step's name is a name in templates too."""
        if not NAME.fullmatch(name) or not name.isidentifier():
            self.broken[f"{where}.name"] = "must be a name like `found` or `second_try`"
        elif name in self.known:
            self.broken[f"{where}.name"] = f"{name!r} stands twice"
        elif len(self.known) >= _STEPS:
            self.broken["steps"] = f"must be at most {_STEPS}"
        self.known.add(name)

    def _arguments(
        self, where: str, kind: StepKind, given: Mapping[str, Any], seen: set[str]
    ) -> None:
        form = FORMS[kind]
        self._only(where, given, form.needed | form.possible)
        for name in sorted(form.needed - given.keys()):
            self.broken[f"{where}.{name}"] = "is missing"
        for name, value in given.items():
            if name not in STEPS_IN.get(kind, ()):
                self._templates(f"{where}.{name}", value, seen, literal=name in form.literal)
        if "parameters" in given:
            self._sampling(f"{where}.parameters", given["parameters"])

    def _sampling(self, where: str, data: Any) -> None:
        given = self._mapping(where, data)
        self._only(where, given, _SAMPLING)
        known = {name: value for name, value in given.items() if name in _SAMPLING}
        try:
            broken = dict(parameter_violations(parameters_in(known)))
        except TypeError:
            self.broken[where] = "must be numbers, and `stop` a list"
            return
        for name, why in broken.items():
            self.broken[f"{where}.{name.rpartition('.')[2]}"] = why

    def _templates(self, where: str, value: Any, seen: set[str], *, literal: bool) -> None:
        for text in texts_in(value):
            try:
                used = self.names_of(text)
            except InvalidRequest as fault:
                self.broken[where] = fault.violations["template"]
                continue
            if literal and ("{{" in text or "{%" in text):
                self.broken[where] = "must not hold a template"
            elif used - seen:
                self.broken[where] = f"nothing before it is named {', '.join(sorted(used - seen))}"

    def _budget(self, data: Any) -> Budget:
        given = self._mapping("budget", data)
        self._only("budget", given, _BUDGET)
        for name, (least, most) in _BUDGET.items():
            value = given.get(name, least)
            if not isinstance(value, int | float) or not least <= value <= most:
                self.broken[f"budget.{name}"] = f"must be {least} to {most}"
                return Budget()
        return Budget(**given)

    def _mapping(self, where: str, data: Any) -> Mapping[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, Mapping) or any(not isinstance(key, str) for key in data):
            self.broken[where] = "must be a mapping"
            return {}
        return data

    def _only(self, where: str, data: Mapping[str, Any], known: Any) -> None:
        for name in sorted(map(str, data.keys() - set(known))):
            self.broken[f"{where}.{name}"] = f"is not known; known are {', '.join(sorted(known))}"
