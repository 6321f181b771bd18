"""Removes from a web page what is not its content (library: lxml)."""

import re
from collections.abc import Callable

from lxml.html import HtmlElement  # type: ignore[import-untyped]

_NEVER_CONTENT = [
    "script",
    "style",
    "noscript",
    "template",
    "iframe",
    "object",
    "embed",
    "svg",
    "canvas",
    "nav",
    "footer",
    "dialog",
    "button",
    "select",
    "input",
    "textarea",
    "link",
    "meta",
]
_ROLES = {
    "navigation",
    "banner",
    "contentinfo",
    "search",
    "dialog",
    "alertdialog",
    "menu",
    "menubar",
}
# Whole words of class and id names, so that `menu` does not hit `document`.
_NAMES = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|gdpr|onetrust|breadcrumbs?|navbar|navigation|nav|menu|megamenu"
    r"|footer|sitefooter|siteheader|masthead|skip-?link|skip|share|sharing|social|newsletter"
    r"|advert(?:isement)?s?|ads|banner|pagination|pager|popup|modal|catlinks|mw-jump-link"
    r"|mw-editsection|printfooter|jump-to-nav|toc|sidebar)(?:$|[\s_-])",
    re.IGNORECASE,
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_LISTS = {"ul", "ol", "div", "table"}
_MAIN_SHARE = 0.4
_KEPT_SHARE = 0.1


def content_of(page: HtmlElement) -> HtmlElement:
    """The page's content element, cleaned in place.

    Names are only hints: where they would take nearly everything, they are not believed.
    """
    _drop(page, _is_never_content)
    _drop(page, _is_hidden)
    named = _outermost([e for e in page.iterdescendants() if _is_named(e)])
    if sum(map(_length, named)) < (1 - _KEPT_SHARE) * _length(page):
        for element in named:
            element.drop_tree()
    main = _main(page)
    if main is None:
        _drop(page, _is_link_list)
    return page if main is None else main


def _drop(page: HtmlElement, unwanted: Callable[[HtmlElement], bool]) -> None:
    for element in list(page.iterdescendants()):
        if isinstance(element.tag, str) and unwanted(element) and element.getparent() is not None:
            element.drop_tree()


def _is_never_content(element: HtmlElement) -> bool:
    if element.tag == "header":
        return not any(True for _ in element.iter("h1")) and _ancestor(element, "article") is None
    return element.tag in _NEVER_CONTENT or element.get("role") in _ROLES


def _is_hidden(element: HtmlElement) -> bool:
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or _HIDDEN_STYLE.search(element.get("style") or "") is not None
    )


def _is_named(element: HtmlElement) -> bool:
    if not isinstance(element.tag, str) or element.tag in {"html", "body", "main", "article"}:
        return False
    names = f"{element.get('class') or ''} {element.get('id') or ''}"
    return _NAMES.search(names) is not None and not any(True for _ in element.iter("main", "h1"))


def _outermost(elements: list[HtmlElement]) -> list[HtmlElement]:
    known = set(elements)
    return [e for e in elements if not any(above in known for above in e.iterancestors())]


def _is_link_list(element: HtmlElement) -> bool:
    """A list that is all links, outside the running text: navigation without the name."""
    if element.tag not in _LISTS or _ancestor(element, "p") is not None:
        return False
    links = list(element.iter("a"))
    linked = sum(_length(link) for link in links)
    return len(links) > 5 and linked > 0.9 * _length(element) and linked / len(links) < 30


def _main(page: HtmlElement) -> HtmlElement | None:
    candidates = [*page.iter("main"), *page.xpath('.//*[@role="main"]'), *page.iter("article")]
    longest = max(candidates, key=_length, default=None)
    enough = longest is not None and _length(longest) >= _MAIN_SHARE * _length(page)
    return longest if enough else None


def _ancestor(element: HtmlElement, tag: str) -> HtmlElement | None:
    return next(element.iterancestors(tag), None)


def _length(element: HtmlElement) -> int:
    return sum(len(text.strip()) for text in element.itertext())
