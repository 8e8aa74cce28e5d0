"""Tables as spreadsheets save and copy them: their delimiters, and what their columns hold."""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.roster_cells import is_address, is_language, original
from bridge.domain.roster_letters import Unreadable, Why

# --- text to cells ---------------------------------------------------------------------------------------------------

_SEP = re.compile(r"sep=([,;\t|:])(\r\n|\r|\n|$)", re.IGNORECASE)
_DELIMITERS = ",;\t"
_SAMPLE = 20


def cells_of(text: str) -> Iterator[list[str]]:
    """The rows of a file, as a spreadsheet counts them; raises Unreadable where quotation marks don't match."""
    said = _SEP.match(text)
    if said:
        return split(without_sep(text), said[1])
    return split(text, max(_DELIMITERS, key=lambda one: _fits(text, one)))


def without_sep(text: str) -> str:
    """The text without the first line in which Excel is told the delimiter, and which it does not count."""
    return _SEP.sub("", text, count=1) if _SEP.match(text) else text


def split(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows of a text with that delimiter, with what ``neutral`` did undone."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    begun = 1
    try:
        for cells in reader:
            yield [original(cell) for cell in cells]
            begun = reader.line_num + 1
    except csv.Error as err:
        # A cell without end is what a lost quotation mark makes, too: it is looked for where its row begins.
        raise Unreadable(Why.QUOTES if '"' in text else Why.NOT_TEXT, begun) from err


def _fits(text: str, delimiter: str) -> tuple[int, int]:
    """How well a delimiter fits: in how many of the first rows a cell means something, then how many cells there are.

    "Lovelace, Ada;ada@corp.example" has two cells with either, and an address of its own with the semicolon only.
    """
    rows: list[list[str]] = []
    with suppress(Unreadable):
        rows.extend(itertools.islice(split(text, delimiter), _SAMPLE))
    telling = sum(any(map(is_address, cells)) for cells in rows) + (len(_named(rows[0])) if rows else 0)
    return telling, sum(map(len, rows))


# --- what the columns hold -------------------------------------------------------------------------------------------


class Column(StrEnum):
    """What a column holds."""

    EMAIL = "email"
    FIRST = "first"
    LAST = "last"
    FULL = "full"  # first and last name in one cell
    LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column is where, and whether the first row only names them. ``doubtful``: whether another column may be
    meant for the addresses.
    """

    at: dict[Column, int]
    header: bool
    doubtful: bool = False
    named: frozenset[Column] = frozenset()  # that the first row has a name for

    def cell(self, cells: Sequence[str], column: Column) -> str:
        """What a row has in a column, "" for nothing."""
        at = self.at.get(column, len(cells))
        return cells[at] if at < len(cells) else ""


_HEADERS: dict[Column, str] = {
    Column.EMAIL: "email|mail|e mail|emails|email address|e mail address|mail address|address|adresse|courriel"
    "|adresse email|adresse e mail|adresse mail|adresse electronique|adresse de courriel|correo|correo electronico"
    "|direccion|direccion de correo|direccion de correo electronico|e mail adresse"
    "|mailadresse|indirizzo|posta elettronica|e mailadres|endereco|البريد|البريد الالكتروني|بريد|بريد الكتروني"
    "|ايميل|الايميل|عنوان البريد|عنوان البريد الالكتروني",
    Column.FIRST: "first name|firstname|first|given name|givenname|given names|forename|prenom|prenoms|nombre|nombres"
    "|nombre de pila|vorname|nome|voornaam|الاسم|الاسم الاول|الاسم الشخصي",
    Column.LAST: "last name|lastname|last|surname|family name|familyname|nom|nom de famille|apellido|apellidos|nachname"
    "|familienname|cognome|sobrenome|apelido|achternaam|name|naam|اسم العايله|العايله|اللقب"
    "|الاسم الاخير|الاسم العايلي|النسب|الكنيه",
    Column.FULL: "full name|fullname|complete name|display name|nom complet|nom et prenom|prenom et nom|nombre completo"
    "|nombre y apellidos|vollstandiger name|nome completo|الاسم الكامل",
    Column.LANGUAGE: "language|lang|langue|idioma|lengua|sprache|lingua|taal|locale|preferred language|اللغه|لغه",
}
_MEANING = {word: column for column, words in _HEADERS.items() for word in words.split("|")}
#: Headers that mean the whole name where no other column has the rest of it.
_EITHER = {"name", "nom", "nombre", "nome", "naam", "الاسم"}
_ADDRESSES = ("email", "courriel", "correo", "البريد", "ايميل")
#: Words in a header by which it is another's address, or another address.
_ANOTHERS = re.compile(
    "manager|supervisor|boss|lead|chef|responsable|superieur|superior|jefe|gerente|vorgesetz|leiter|capo|private|personal"
    "|prive|perso|second|altern|backup|مدير|مسؤول"
)


def _plain(header: str) -> str:
    """A header as it is looked up: lower case, letters without accents, words with one space between."""
    apart = unicodedata.normalize("NFKD", header.casefold()).replace("ى", "ي").replace("ة", "ه")
    letters = "".join(sign if sign.isalnum() else " " for sign in apart if not unicodedata.combining(sign))
    return " ".join(letters.replace("_", " ").replace("ـ", "").split())


def _meaning(header: str) -> Column | None:
    plain = _plain(header) if len(header) <= 100 else ""
    if plain in _MEANING:
        return _MEANING[plain]
    joined = plain.replace("e mail", "email")
    return Column.EMAIL if any(word in joined for word in _ADDRESSES) else None


def _named(cells: Sequence[str]) -> list[tuple[int, Column]]:
    """The columns that a header names; none if something in it could be an address, since then it is no header."""
    if any("@" in cell for cell in cells):
        return []
    return [(at, column) for at, cell in enumerate(cells) if (column := _meaning(cell))]


def layout_of(rows: Sequence[Sequence[str]]) -> Layout:
    """What the columns of a table hold, by its header, or by what stands in them. Rows may differ in length."""
    sample = rows[: _SAMPLE * 10]
    named = _named(sample[0]) if sample else []
    addresses = [sum(is_address(cell) for cell in column) for column in itertools.zip_longest(*sample, fillvalue="")]
    if named:
        at, sure = _by_header(named, addresses, [_plain(cell) for cell in sample[0]])
        return Layout(at, True, not sure, frozenset(column for _, column in named))
    return Layout(_by_content(sample, addresses), False)


def is_table(rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row is about one person: no second address, but in a column that has a name of its own."""
    named = len(rows[0]) if rows and _named(rows[0]) else 0
    return not any(sum(map(is_address, cells[named:])) > (not named) for cells in rows)


def _by_header(
    named: list[tuple[int, Column]], addresses: list[int], words: list[str]
) -> tuple[dict[Column, int], bool]:
    """Which column is where, and whether that is sure of the addresses."""
    at: dict[Column, int] = {}
    for where, column in named:
        if column is Column.LAST and words[at.get(column, where)] in _EITHER and column in at:
            at.setdefault(Column.FIRST, at.pop(column))  # "Name" and "Last name"
        at.setdefault(column, where)
    at[Column.EMAIL], sure = _addressed(named, addresses, words)
    alone = {Column.FIRST, Column.LAST} & at.keys()
    if len(alone) == 1 and Column.FULL not in at and words[at[one := alone.pop()]] in _EITHER:
        at[Column.FULL] = at.pop(one)
    return at, sure


def _addressed(named: list[tuple[int, Column]], addresses: list[int], words: list[str]) -> tuple[int, bool]:
    """The column of addresses, and whether it is sure. "Email" is it, whatever stands in "Manager email" beside it."""
    partial = [where for where, column in named if column is Column.EMAIL]
    exact = [where for where in partial if _MEANING.get(words[where]) is Column.EMAIL]
    own = [where for where in partial if not _ANOTHERS.search(words[where])]
    for wanted in (exact, own, partial, list(range(len(addresses)))):
        filled = [where for where in wanted if addresses[where]]
        if filled:
            found = max(filled, key=lambda where: addresses[where])
            known = found in exact or found not in partial
            return found, known and len(filled) == 1
    return max(partial or range(len(addresses)), key=lambda where: addresses[where]), True


def _by_content(sample: Sequence[Sequence[str]], addresses: list[int]) -> dict[Column, int]:
    """Where most addresses are; of the others, the first two with letters in them are the names, in that order."""
    if not addresses:
        return {}
    email = max(range(len(addresses)), key=lambda where: addresses[where])
    at = {Column.EMAIL: email}
    names = []
    for where, column in enumerate(itertools.zip_longest(*sample, fillvalue="")):
        filled = [cell for cell in column if cell.strip()]
        if where == email or not filled:
            continue
        if all(map(is_language, filled)):
            at.setdefault(Column.LANGUAGE, where)
        elif _mostly_names(filled):
            names.append(where)
    return at | dict(zip((Column.FIRST, Column.LAST) if len(names) > 1 else (Column.FULL,), names, strict=False))


def _mostly_names(cells: Sequence[str]) -> bool:
    return 2 * sum(any(map(str.isalpha, cell)) and not any(map(str.isdigit, cell)) for cell in cells) >= len(cells)
