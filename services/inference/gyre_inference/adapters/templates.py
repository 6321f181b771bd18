"""Templates in Jinja's sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, meta, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gyre_inference.domain.faults import InvalidRequest

LONGEST = 256 * 1024
"""Characters that a template may come to."""
_LARGEST = 10**12
_CACHED = 1024
_ALONE = re.compile(r"\s*\{\{(?P<expression>(?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
# Marks and tags of a prompt, made harmless where they stand in a document.
_HARMLESS = str.maketrans({"[": "(", "]": ")", "<": "‹", ">": "›"})
_OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class JinjaTemplates:
    """`Templates`. What is compiled is kept."""

    def __init__(self) -> None:
        self._environment = _Sandbox(
            undefined=StrictUndefined, keep_trailing_newline=False, trim_blocks=True
        )
        # None of Jinja's own names: whoever uses one has to declare it, and cannot.
        self._environment.globals.clear()
        for name in _WIDENING & self._environment.filters.keys():
            del self._environment.filters[name]
        self._environment.filters["data"] = _data
        self._compiled = lru_cache(_CACHED)(self._environment.from_string)
        self._expression = lru_cache(_CACHED)(self._compile)

    def names(self, template: str) -> frozenset[str]:
        """See `Templates`."""
        try:
            tree = self._environment.parse(template)
            self._environment.compile(tree)  # filters and tests that do not exist
        except (TemplateError, RecursionError) as error:
            raise InvalidRequest({"template": f"is not valid: {error}"}) from error
        if found := next(iter(tree.find_all(_OTHER_FILES)), None):
            raise InvalidRequest({"template": f"line {found.lineno}: it has to stand alone"})
        return frozenset(meta.find_undeclared_variables(self._environment.parse(template)))

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """See `Templates`."""
        try:
            return _limited(self._compiled(template), values)
        except _BROKEN as error:
            raise _refused(error) from error

    def value(self, expression: str, values: Mapping[str, object]) -> object:
        """See `Templates`."""
        if "{{" not in expression and "{%" not in expression:
            return expression
        alone = _alone(expression)
        if alone is None:
            return self.render(expression, values)
        if alone in values:  # a name, nothing to compute
            return values[alone]
        try:
            found = self._expression(alone)(**values)
        except _BROKEN as error:
            raise _refused(error) from error
        if isinstance(found, Undefined):
            raise InvalidRequest({"template": f"{alone} is not there"})
        return found

    def _compile(self, expression: str) -> TemplateExpression:
        return self._environment.compile_expression(expression, undefined_to_none=False)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses, beside what the sandbox refuses, arithmetic that makes something huge."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            raise TemplateError("a text is not formatted with %: a width could make it huge")
        if operator == "**":
            raise TemplateError("** is not computed in templates")
        if operator == "*" and not (_is_number(left) and _is_number(right)):
            raise TemplateError("only numbers are multiplied in templates")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) > _LARGEST:
            raise TemplateError("the number is too large")
        return result

    def is_safe_callable(self, obj: Any) -> bool:
        """Methods that make texts of any width are not."""
        return super().is_safe_callable(obj) and getattr(obj, "__name__", "") not in _WIDENING


_WIDENING = frozenset(
    {
        *("attr", "batch", "center", "expandtabs", "format", "format_map", "indent", "ljust"),
        *("pprint", "random", "rjust", "slice", "urlize", "wordwrap", "xmlattr", "zfill"),
    }
)
_BROKEN = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


@lru_cache(_CACHED)
def _alone(text: str) -> str | None:
    """The expression of a text that is one expression and nothing else."""
    found = _ALONE.fullmatch(text)
    return found["expression"].strip() if found else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _limited(template: Template, values: Mapping[str, object]) -> str:
    pieces: list[str] = []
    length = 0
    for piece in template.generate(**values):
        length += len(piece)
        if length > LONGEST:
            raise TemplateError(f"the text is longer than {LONGEST} characters")
        pieces.append(piece)
    return "".join(pieces)


def _data(text: object) -> str:
    return str(text).translate(_HARMLESS)


def _refused(error: Exception) -> InvalidRequest:
    return InvalidRequest({"template": f"cannot be rendered: {error}"})
