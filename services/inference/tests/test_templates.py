"""Templates run in a sandbox, and arguments are data."""

from __future__ import annotations

import pytest
from gyre_inference.adapters.templates import LONGEST, JinjaTemplates
from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.passages import Found

TEMPLATES = JinjaTemplates()
VALUES = {"text": "hello", "items": [1, 2, 3], "found": Found(), "number": 7}


@pytest.mark.parametrize(
    "escape",
    [
        "{{ text.__class__.__mro__ }}",
        "{{ text['__class__'] }}",
        "{{ text | attr('__class__') }}",
        "{{ found.__init__.__globals__ }}",
        "{{ items.append(4) }}",
        "{{ ''.format.__self__ }}",
        "{{ '%1000000000d' % number }}",
        "{{ '{:>1000000000}'.format(number) }}",
        "{{ text.ljust(1000000000) }}",
        "{{ text * 1000000000 }}",
        "{{ items * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ 999999999999 * 999999999999 }}",
        "{{ config }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ cycler.__init__ }}",
        "{{ self.__init__ }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(escape: str) -> None:
    with pytest.raises(InvalidRequest):
        TEMPLATES.render(escape, VALUES)
    with pytest.raises(InvalidRequest):
        TEMPLATES.value(escape, VALUES)


@pytest.mark.parametrize(
    "template",
    ["{% include 'x' %}", "{% import 'x' as x %}", "{% extends 'x' %}", "{{ text | shout }}", "{{"],
)
def test_a_template_that_is_not_allowed_has_no_names(template: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        TEMPLATES.names(template)
    assert list(refused.value.violations) == ["template"]


def test_names_are_those_that_have_to_be_given() -> None:
    template = "{% for one in items %}{{ one }}{{ text }}{% endfor %}{{ range }}"
    assert TEMPLATES.names(template) == {"items", "text", "range"}


def test_arguments_are_never_read_as_templates() -> None:
    assert TEMPLATES.render("{{ text }}", {"text": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"
    assert TEMPLATES.value("{{ text }}", {"text": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"


def test_a_missing_argument_is_refused_and_named() -> None:
    for read in (TEMPLATES.render, TEMPLATES.value):
        with pytest.raises(InvalidRequest, match="nobody"):
            read("{{ nobody }}", VALUES)


def test_a_text_that_grows_too_long_is_refused() -> None:
    long = {"items": list(range(LONGEST)), "text": "xx"}
    with pytest.raises(InvalidRequest, match="longer"):
        TEMPLATES.render("{% for one in items %}{{ text }}{% endfor %}", long)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("plain", "plain"),
        ("{{ items }}", [1, 2, 3]),
        ("{{ items[1] + 1 }}", 3),
        ("{{ items | length > 2 }}", True),
        ("{{ text }} you", "hello you"),
        ("{{ text }}{{ number }}", "hello7"),
        ("{{ found.passages }}", ()),
    ],
)
def test_an_expression_alone_keeps_its_type(expression: str, value: object) -> None:
    assert TEMPLATES.value(expression, VALUES) == value
