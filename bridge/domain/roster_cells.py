"""What stands in one cell of a list of people: an address, a name, a language. And what a spreadsheet makes of it."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache

import idna

from bridge.domain.identity import JOINERS, MOST_OF_NAME, is_email, normal_email

#: As many characters as Totara keeps of an address and of a name.
MOST_CHARACTERS = MOST_OF_NAME


class Problem(StrEnum):
    """Why nobody can be given a seat by a row."""

    NO_ADDRESS = "no_address"
    NOT_AN_ADDRESS = "not_an_address"
    TWICE = "twice"
    NAME_TOO_LONG = "name_too_long"
    NAME_SIGNS = "name_signs"  # signs that nobody sees, or that make others look different
    FORMULA = "formula"  # a spreadsheet would compute with the name
    TOO_LONG = "too_long"  # the address


# --- what a spreadsheet takes for a formula --------------------------------------------------------------------------

# The wide forms too: a spreadsheet set to Japanese takes them for the narrow ones. White space before them is no help,
# since many a program cuts it off.
_FORMULA = re.compile(r"[\s']*[=+\-@\t\r\n＝＋－＠]")


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet might compute with the cell, also once a white space or apostrophe is gone from it."""
    return _FORMULA.match(cell) is not None


def neutral(cell: str) -> str:
    """The cell as text to any spreadsheet: an apostrophe comes before what would be a formula. See ``original``."""
    return f"'{cell}" if is_formula(cell) else cell


def original(cell: str) -> str:
    """What ``neutral`` was given."""
    return cell[1:] if cell.startswith("'") and is_formula(cell) else cell


# --- addresses -------------------------------------------------------------------------------------------------------

_MOST_QUOTES = 3  # one within another
_QUOTES = {("'", "'"), ('"', '"'), ("<", ">"), ("“", "”"), ("‘", "’"), ("«", "»")}


def read_address(text: str) -> tuple[str, Problem | None]:
    """The normal form of an address, or what stood there, fit to be shown, and why it is none.

    The host is written in ASCII, as it goes over the wire ("xn--…"), so that one address has one form only.
    """
    bare = _bare(text)
    if not bare:
        return "", Problem.NO_ADDRESS
    address = _normal(bare)
    if _can_be_mailed(address):
        return address, None
    too_long = "@" in bare and len(address) > MOST_CHARACTERS
    return shown(bare), Problem.TOO_LONG if too_long else Problem.NOT_AN_ADDRESS


def is_address(text: str) -> bool:
    """Whether the text is one address, maybe in brackets and with a name before it, and nothing else."""
    return len(text) > 4 and "@" in text and _can_be_mailed(_normal(_bare(apart(text)[0])))


_BRACKETS = re.compile(r"<([^<>]*)>\s*$")


def apart(text: str) -> tuple[str, str]:
    """Address and name out of "Ada Lovelace <ada@corp.example>"; a text without brackets is the address."""
    found = _BRACKETS.search(text)
    return (found[1], text[: found.start()].strip(" \t,;\"'")) if found else (text, "")


def _normal(bare: str) -> str:
    return _with_ascii_host(normal_email(unicodedata.normalize("NFC", bare)))


def _can_be_mailed(address: str) -> bool:
    return is_email(address)


def _bare(text: str) -> str:
    """Without what comes along when an address is copied: marks that nobody sees, quotes, "mailto:", a full stop."""
    bare = _trimmed(text)
    for _ in range(_MOST_QUOTES):
        if len(bare) > 1 and (bare[0], bare[-1]) in _QUOTES:
            bare = _trimmed(bare[1:-1])
    return bare[7:] if bare[:7].lower() == "mailto:" else bare.removesuffix(".")


def _trimmed(text: str) -> str:
    if text.isascii():
        return text.strip()
    begin, end = 0, len(text)
    while begin < end and _skipped(text[begin]):
        begin += 1
    while end > begin and _skipped(text[end - 1]):
        end -= 1
    return text[begin:end]


def _skipped(sign: str) -> bool:
    return sign.isspace() or unicodedata.category(sign) == "Cf"


def _with_ascii_host(address: str) -> str:
    local, at, host = address.rpartition("@")
    if host.isascii() or len(host) > MOST_CHARACTERS:
        return address
    return local + at + (_ascii(host) or host)


@lru_cache(maxsize=256)
def _ascii(host: str) -> str:
    """Remembered, since most people of a list have the same host."""
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return ""


def shown(text: str) -> str:
    """The text fit to be shown on a page: one line, nothing unseen, not too long."""
    seen = "".join("\N{REPLACEMENT CHARACTER}" if _refused(sign) else sign for sign in _folded(text))
    return seen if len(seen) <= MOST_CHARACTERS else seen[: MOST_CHARACTERS - 1] + "…"


# --- names -----------------------------------------------------------------------------------------------------------

# Marks of direction and places to break a line: they come along with a copy, and change nothing when they go.
_HARMLESS = dict.fromkeys(map(ord, "\u00ad\u061c\u200b\u200e\u200f\u2060\ufeff"))
_SPACE = re.compile(r"[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def read_name(text: str) -> tuple[str, Problem | None]:
    """A name with white space folded and composed letters, or what stood there, fit to be shown, and what is wrong."""
    if text.isascii() and text.replace(" ", "").isalpha():
        name = " ".join(text.split())
    else:
        if _begins_a_formula(text):
            return shown(text), Problem.FORMULA
        name = _folded(text).lstrip("-－ ")
    if any(map(_refused, name)):
        return shown(name), Problem.NAME_SIGNS
    return (name, None) if len(name) <= MOST_CHARACTERS else (shown(name), Problem.NAME_TOO_LONG)


def _begins_a_formula(text: str) -> bool:
    """ "-" alone is harmless, and goes: it stands in many a list where there is no name."""
    begin = text.translate(_HARMLESS).lstrip(" \u00a0-'－")
    return not begin.isspace() and begin.startswith(("=", "+", "@", "\t", "\r", "＝", "＋", "＠"))


def _folded(text: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text.translate(_HARMLESS))).strip(" ")


def _refused(sign: str) -> bool:
    """Control characters, overrides of the direction, halves of characters, and the mark of a letter that was lost."""
    return sign == "\N{REPLACEMENT CHARACTER}" or not (sign.isprintable() or sign in JOINERS)


def two_names(text: str) -> tuple[str, str]:
    """First and last name out of one text: "Ada Lovelace" or "Lovelace, Ada"."""
    last, comma, first = text.partition(",")
    if comma:
        return first.strip(), last.strip()
    first, _, last = _SPACE.sub(" ", text).strip(" ").partition(" ")
    return first, last


# --- languages -------------------------------------------------------------------------------------------------------

_CODE = re.compile(r"[a-z]{2,3}(_[a-z0-9]{2,8})*")
_LANGUAGES = {
    name: code
    for code, names in {
        "ar": "arabic arabe árabe arabisch العربية عربي",
        "de": "german allemand alemán deutsch الألمانية",
        "en": "english anglais inglés englisch الإنجليزية",
        "es": "spanish espagnol español castellano spanisch الإسبانية",
        "fr": "french français francés französisch الفرنسية",
        "it": "italian italien italiano italienisch الإيطالية",
        "nl": "dutch néerlandais neerlandés nederlands niederländisch الهولندية",
        "pt": "portuguese portugais portugués português portugiesisch البرتغالية",
    }.items()
    for name in names.split()
}


def read_language(text: str) -> str:
    """A code as Totara writes it, in lower case ("fr", "fr_ca"), also for a language's name; "" for what is none."""
    word = _folded(text).casefold().replace("-", "_")
    return _LANGUAGES.get(word) or (word if _CODE.fullmatch(word) else "")


def is_language(text: str) -> bool:
    """Whether it can only be a language: its name, or a code in lower case as lists write it, "fr" or "fr-CA"."""
    return (
        text.strip().casefold() in _LANGUAGES or re.fullmatch(r"[a-z]{2}([-_][A-Za-z]{2})?", text.strip()) is not None
    )
