"""Reads CSV and TSV (standard library)."""

import csv
import io

from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.tables import rows_as_text

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50
_LARGEST_FIELD = 2**31 - 1


def read_csv(text: str) -> Reading:
    """Each row as `header: value` pairs."""
    # The limit holds for the whole process; the text itself is limited before it comes here.
    csv.field_size_limit(_LARGEST_FIELD)
    reading = Reading()
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    for row in rows_as_text(rows):
        reading.outline.row(row)
    return reading


def _delimiter(text: str) -> str:
    """The one that cuts most lines alike; the library guesses too boldly."""
    lines = text.splitlines()[:_SAMPLE_LINES]

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        common = max(set(widths), key=widths.count, default=1)
        return (widths.count(common) if common > 1 else 0, common)

    return max(_DELIMITERS, key=agreement)
