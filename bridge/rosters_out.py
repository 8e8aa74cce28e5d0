"""Tables for a spreadsheet: what a company's training manager, or the shop's staff, takes along."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from bridge.domain.roster_cells import is_formula, neutral

#: A text, a number to compute with, or nothing.
Cell = str | int | None

_MOST_IN_CELL = 32_767  # Excel's limit; more would make the file unreadable
_WIDTH = 24  # of a column, in characters


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The table as every spreadsheet reads it: UTF-8 with its mark, each cell in quotes, CRLF at the ends of rows.

    No text is computed: an apostrophe comes before what would be a formula. ``rosters.read_file`` takes it off again.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(map(_as_text, header))
    writer.writerows(map(_as_text, row) for row in rows)
    return text.getvalue().encode("utf-8-sig", "replace")


def _as_text(cell: Cell) -> str:
    return neutral(cell) if isinstance(cell, str) else "" if cell is None else str(cell)


def as_xlsx(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The table as a workbook of one sheet, whose texts are texts: no formulas, no links, no numbers out of digits.

    Only one row at a time is in memory, the others in a temporary file of our own that is gone at the end. A text
    beyond what a cell may have is cut there.
    """
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.set_column(0, max(len(header) - 1, 0), _WIDTH)
        sheet.freeze_panes(1, 0)
        bold, quoted = book.add_format({"bold": True}), book.add_format({"quote_prefix": True})
        for at, cell in enumerate(header):
            sheet.write_string(0, at, _fit(cell), bold)
        for number, row in enumerate(rows, 1):
            for at, value in enumerate(row):
                _write(sheet, number, at, value, quoted)
    return out.getvalue()


def _write(sheet: Worksheet, row: int, column: int, cell: Cell, quoted: object) -> None:
    """A text that would be a formula is marked as text for good: it stays one when its cell is edited."""
    if isinstance(cell, str):
        sheet.write_string(row, column, _fit(cell), quoted if is_formula(cell) else None)
    elif cell is not None:
        sheet.write_number(row, column, cell)


def _fit(cell: str) -> str:
    """Without what XML can't hold: halves of characters, and the two code points that are none."""
    whole = cell.encode("utf-8", "replace").decode().replace("\ufffe", "?").replace("\uffff", "?")
    return whole[:_MOST_IN_CELL]
