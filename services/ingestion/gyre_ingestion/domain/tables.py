"""Makes a table's rows readable one by one, so that a row can be quoted."""

from collections.abc import Iterator, Sequence

_HEADER_SEARCH_ROWS = 5


def rows_as_text(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """`Header: value; Header: value` for each row under the header.

    Rows before the header (a table's title) come as they are. A table of one column, or without a
    header, gives its cells joined by `; `. Empty cells are left out.
    """
    filled = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if _is_form(filled):
        yield from (_pair(*row) for row in filled)
        return
    place = _header_place(filled)
    if place is None:
        yield from (_joined(row) for row in filled)
        return
    yield from (_joined(row) for row in filled[:place])
    yield from (_labelled(filled[place], row) for row in filled[place + 1 :])


def _is_form(rows: Sequence[Sequence[str]]) -> bool:
    """Two columns, names with colons on the left: a form, not a table with a header."""
    named = sum(row[0].endswith(":") for row in rows if row)
    return all(len(row) == 2 for row in rows) and named * 2 > len(rows)


def _header_place(rows: Sequence[Sequence[str]]) -> int | None:
    width = max((len(row) for row in rows), default=0)
    if width < 2 or len(rows) < 2:
        return None
    for place, row in enumerate(rows[:_HEADER_SEARCH_ROWS]):
        names = [cell for cell in row if cell]
        if len(names) >= max(2, width * 0.6) and place + 1 < len(rows):
            return place if _are_names(names) else None
    return None


def _are_names(cells: Sequence[str]) -> bool:
    numbers = sum(
        any(c.isdigit() for c in cell) and not any(map(str.isalpha, cell)) for cell in cells
    )
    return numbers < max(1, len(cells) / 2) and all(len(cell) <= 120 for cell in cells)


def _labelled(header: Sequence[str], row: Sequence[str]) -> str:
    if len([cell for cell in row if cell]) == 1 and row[0]:
        return row[0]
    names = [*header, *[""] * (len(row) - len(header))]
    pairs = zip(names, row, strict=False)
    return "; ".join(_pair(name, cell) for name, cell in pairs if cell)


def _pair(name: str, cell: str) -> str:
    label = name.removesuffix(":").rstrip()
    return f"{label}: {cell}" if label and label != cell and cell else cell or label


def _joined(row: Sequence[str]) -> str:
    return "; ".join(cell for cell in row if cell)
