"""Lists of people, by which a company's training manager gives seats: typed, pasted, or in a spreadsheet's file.

Nothing is lost on the way: each entry becomes a row, and a row that nobody can be given a seat by says why. A list that
can't be read as a whole raises ``Unreadable``.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bridge.domain.roster_cells import (
    Problem,
    apart,
    original,
    read_address,
    read_language,
    read_name,
    shown,
    two_names,
)
from bridge.domain.roster_letters import MOST_BYTES, MOST_ROWS, Unreadable, Why, decoded
from bridge.domain.roster_tables import Column, Layout, cells_of, is_table, layout_of, without_sep

__all__ = [
    "MOST_BYTES",
    "MOST_ROWS",
    "Doubt",
    "Problem",
    "Roster",
    "Row",
    "Unreadable",
    "Why",
    "read_file",
    "read_typed",
    "row_of",
]

_Person = tuple[str, str, str, str]  # address, first name, last name, language
_ENOUGH = MOST_ROWS + 2  # a header and one too many
_SOME = 3  # names that are shown of those whose letters are doubtful
_LONGEST = 5_000  # characters of a line that is one person; beyond, it is a list
_BRACKETS = re.compile(r"<([^<>]*)>")
_BETWEEN = re.compile(r"[\s,;]+")
_MORE = re.compile(r"[\s,;<]")  # than an address
_PARTS = re.compile(r"[,;\t]")
_AROUND = " \t,;\"'"
#: What may be an address with its @ forgotten, and is no name.
_DOTTED = re.compile(r"\w{2}\.\w{2}")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a list, fit to be shown whatever stood there.

    ``number`` is the row as a spreadsheet counts, the header's being 1; in a typed list entries are counted.
    ``email`` is in its normal form, or what stood in its place if it is none. ``language`` is a code in lower case
    ("fr_ca"), or "". ``first`` is the number of the row that has the same address, if the problem is that.
    """

    number: int
    email: str
    first_name: str = ""
    last_name: str = ""
    language: str = ""
    problem: Problem | None = None
    first: int | None = None


class Doubt(StrEnum):
    """What about a list is to be looked at by whoever sent it, before anybody is written to."""

    COLUMN = "column"  # that the addresses were taken from the column of this name
    LETTERS = "letters"  # that these names were read with the letters with which they were written


@dataclass(frozen=True, slots=True)
class Roster:
    """All entries of a list, in its order. No two of the good ones have the same address."""

    rows: tuple[Row, ...]
    doubts: Mapping[Doubt, str] = field(default_factory=dict)

    @property
    def good(self) -> list[Row]:
        """Those that somebody can be given a seat by."""
        return [row for row in self.rows if row.problem is None]

    @property
    def wrong(self) -> list[Row]:
        """Those that have a problem."""
        return [row for row in self.rows if row.problem]


def row_of(number: int, address: str, first_name: str = "", last_name: str = "", language: str = "") -> Row:
    """One person by what was typed or read; the address's problem comes before the names'."""
    email, wrong_address = read_address(address)
    first, wrong_first = read_name(first_name)
    last, wrong_last = read_name(last_name)
    return Row(number, email, first, last, read_language(language), wrong_address or wrong_first or wrong_last)


def read_file(data: bytes) -> Roster:
    """The people in a file as a spreadsheet saves it: CSV or tab-separated text, with a header or without one.

    If it is a plain list rather, several people to a line, it is read as one that was typed. Up to MOST_ROWS people in
    MOST_BYTES. Raises Unreadable, also for a workbook (.xlsx).
    """
    text, guessed = decoded(data)
    numbered = ((number, cells) for number, cells in enumerate(cells_of(text), 1) if "".join(cells).strip())
    rows = list(itertools.islice(numbered, _ENOUGH))
    table = is_table([cells for _, cells in rows])
    roster = _table(rows) if table else read_typed(without_sep(text))
    return replace(roster, doubts={**roster.doubts, **_letters(roster)}) if guessed else roster


def read_typed(text: str) -> Roster:
    """The people in a list that was typed or pasted.

    Addresses one per line, or between commas, semicolons or white space; with names before them ("Ada Lovelace
    <ada@corp.example>"), or in columns as they come from a spreadsheet. Raises Unreadable if there are more than
    MOST_ROWS people or MOST_BYTES.
    """
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise Unreadable(Why.TOO_BIG)
    lines = [line for line in _lines(text) if line.strip(" \t,;")]
    for delimiter in "\t;,":
        named = delimiter == "\t" and bool(lines) and _names_addresses(lines[0])
        records = list(itertools.takewhile(bool, (_record(line, delimiter, named=named) for line in lines)))
        if len(records) == len(lines) and "@" in text:
            return _table(list(enumerate(records[:_ENOUGH], 1)))
    named = len(lines) > 1 and layout_of([lines[:1]]).header
    return _roster(row_of(number, *person) for number, person in enumerate(_people(lines[named:]), 1 + named))


def _roster(rows: Iterable[Row]) -> Roster:
    """Marks the rows whose address another row has that comes before and is good."""
    seen: dict[str, int] = {}
    marked: list[Row] = []
    for row in rows:
        if row.problem is None and (first := seen.setdefault(row.email, row.number)) != row.number:
            row = replace(row, problem=Problem.TWICE, first=first)
        if len(marked) == MOST_ROWS:
            raise Unreadable(Why.TOO_MANY)
        marked.append(row)
    return Roster(tuple(marked))


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(numbered: Sequence[tuple[int, Sequence[str]]]) -> Roster:
    """The rows of a table that stand in columns, without the one that names the columns."""
    layout = layout_of([cells for _, cells in numbered])
    rows = numbered[1:] if layout.header else numbered
    roster = _roster(row_of(number, *_person_in(layout, cells)) for number, cells in rows)
    if not layout.doubtful:
        return roster
    return replace(roster, doubts={Doubt.COLUMN: shown(layout.cell(numbered[0][1], Column.EMAIL))})


def _letters(roster: Roster) -> Mapping[Doubt, str]:
    """Some of the names by which one sees whether the letters are right."""
    names = (f"{row.first_name} {row.last_name}".strip() for row in roster.rows)
    some = list(itertools.islice(dict.fromkeys(name for name in names if not name.isascii()), _SOME))
    return {Doubt.LETTERS: " · ".join(some)} if some else {}


def _person_in(layout: Layout, cells: Sequence[str]) -> _Person:
    address, within = apart(layout.cell(cells, Column.EMAIL))
    first, last = layout.cell(cells, Column.FIRST), layout.cell(cells, Column.LAST)
    if not (first.strip() or last.strip()):
        full = layout.cell(cells, Column.FULL)
        # "Lovelace, Ada <ada@corp.example>" is two cells where a comma parts them.
        first, last = (within, full) if within and full else two_names(full or within)
    return address, first, last, layout.cell(cells, Column.LANGUAGE)


# --- what was typed --------------------------------------------------------------------------------------------------


_OPENED = re.compile(r'(?:^|[,;\t])\s*"')
_MOST_LINES = 20  # of one cell


def _lines(text: str) -> Iterator[str]:
    """The lines; those that a quoted cell goes over, as spreadsheets copy it, are one."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        many = _quoted(lines, at) if '"' in lines[at] else 1
        yield "\n".join(lines[at : at + many])
        at += many


def _quoted(lines: Sequence[str], at: int) -> int:
    """How many lines a row goes over that begins here: more than one, if a cell's quotation marks end further down."""
    if lines[at].count('"') % 2 == 0 or not _OPENED.search(lines[at]):
        return 1
    for more in range(at + 1, min(at + _MOST_LINES, len(lines))):
        if lines[more].count('"') % 2:
            one = sum(line.count("@") for line in lines[at : more + 1]) <= 1
            return more + 1 - at if one else 1
    return 1


def _names_addresses(line: str) -> bool:
    """Whether cells were copied with the names of their columns, one of which is of addresses."""
    return Column.EMAIL in layout_of([line.split("\t")]).named


def _record(line: str, delimiter: str, *, named: bool = False) -> list[str]:
    """The cells of a line that is one person in columns, or the names of the columns; nothing if it is neither. Where
    the columns are ``named``, several may hold addresses.
    """
    if delimiter not in line or len(line) > _LONGEST:
        return []
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # it goes over several lines, and not in quotation marks
        return []
    with_address = [cell for cell in cells if "@" in cell]
    if len(cells) < 2 or (len(with_address) > 1 and not named):
        return []
    if delimiter != "\t" and not _in_columns(cells, with_address):
        return []
    return [original(cell) for cell in cells]


def _in_columns(cells: list[str], with_address: list[str]) -> bool:
    """Whether commas and semicolons part columns here, and not the entries of a list or the halves of a name."""
    return not any(_MORE.search(cell.strip()) for cell in with_address) and not any(
        _DOTTED.search(cell) for cell in cells if cell not in with_address
    )


def _people(lines: Iterable[str]) -> Iterator[_Person]:
    """The entries of a list in any form, line by line."""
    for line in lines:
        record = next(filter(None, (_record(line, one) for one in "\t;,")), [])
        if any("@" in cell for cell in record):
            yield _person_in(layout_of([record]), record)
        else:
            yield from _entries(line)


def _entries(line: str) -> Iterator[_Person]:
    """What stands in a line between commas, semicolons and white space: addresses, with names or without.

    "bob@corp.example, Lovelace, Ada <ada@corp.example>" is two people, as mail programs write them.
    """
    done = 0
    for found in _BRACKETS.finditer(line):
        plain, name = _before(line[done : found.start()])
        entries = list(_plain_entries(plain))
        if entries and not name and read_address(entries[-1][0]) == read_address(found[1]):
            entries.pop()  # "ada@corp.example <ada@corp.example>"
        yield from entries
        yield (found[1], *two_names(name), "")
        done = found.end()
    yield from _plain_entries(line[done:])


def _before(text: str) -> tuple[str, str]:
    """What stands before "<" as the entries that came earlier, and the name: all after the last one's end."""
    begin = text.rfind(";") + 1
    if (at := text.rfind("@")) >= begin:
        end = _BETWEEN.search(text, at)
        begin = end.end() if end else len(text)
    return text[:begin], text[begin:].strip(_AROUND)


def _plain_entries(text: str) -> Iterator[_Person]:
    for part in _PARTS.split(text):
        names: list[str] = []
        found: list[tuple[str, list[str]]] = []
        for word in part.split():
            if "@" in word or _DOTTED.search(word):
                found.append((word, names))
                names = []
            else:
                names.append(word)
        if len(found) == 1:
            found[0][1].extend(names)
        elif names:
            found.append((" ".join(names), []))
        for address, name in found:
            yield (address, *two_names(" ".join(name)), "")
