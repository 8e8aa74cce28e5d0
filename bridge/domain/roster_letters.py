"""The letters of a file, as spreadsheets save it: from its bytes to text, where that can be told."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from enum import StrEnum

#: As many people as one list may have, and as many bytes as a file.
MOST_ROWS = 5_000
MOST_BYTES = 2 * 1024 * 1024


class Why(StrEnum):
    """Why nothing could be read."""

    WORKBOOK = "workbook"
    NOT_TEXT = "not_text"
    ENCODING = "encoding"
    QUOTES = "quotes"
    TOO_MANY = "too_many"
    TOO_BIG = "too_big"


_WORDS = {
    Why.WORKBOOK: "this is a workbook: save it as CSV (UTF-8), or copy its cells and paste them",
    Why.NOT_TEXT: "this is no list: save it as CSV (UTF-8), or copy its cells and paste them",
    Why.ENCODING: "its letters can't be told apart: save it as CSV (UTF-8), or copy its cells and paste them",
    Why.QUOTES: "its quotation marks don't match: save it as CSV once more, or copy its cells and paste them",
    Why.TOO_MANY: f"a list has {MOST_ROWS} people at most: give it in parts",
    Why.TOO_BIG: f"a list has {MOST_BYTES // 1024 // 1024} MiB at most: give it in parts",
}


class Unreadable(ValueError):
    """A list that is not read at all. ``why`` is for whoever has words in the reader's language; ``line`` is 0 or where
    in the file it happened."""

    def __init__(self, why: Why, line: int = 0) -> None:
        super().__init__(f"line {line}: {_WORDS[why]}" if line else _WORDS[why])
        self.why = why
        self.line = line


_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # a zip (.xlsx, .ods), and what Excel wrote before

# Three letters beyond ASCII in a row: no western language writes so, and any other does.
_FOREIGN = re.compile(rb"[\x81\x8d-\x90\x98\x9a\x9f\xc0-\xff]{3,}")
_ARABIC = re.compile(r"[\u0600-\u06ff\u200c\u200d]+")
# No Arabic word goes on in Latin letters, as what looks like Arabic in the midst of a Slovak one does.
_MIXED = re.compile(r"[A-Za-z][\u0600-\u06ff]|[\u0600-\u06ff][A-Za-z]")


def decoded(data: bytes) -> tuple[str, bool]:
    """The text of a file: by its byte order mark, as UTF-8, or as one of Windows' western and Arabic alphabets. And
    whether that alphabet was only guessed by the letters.

    Raises Unreadable for a workbook, for what is no text, and for any other alphabet that shows by itself: names that
    were read wrongly would go onto certificates.
    """
    if len(data) > MOST_BYTES:
        raise Unreadable(Why.TOO_BIG)
    if data.startswith(_WORKBOOKS):
        raise Unreadable(Why.WORKBOOK)
    text, guessed = _text(data)
    if "\0" in text:
        raise Unreadable(Why.NOT_TEXT)
    return text, guessed


def _text(data: bytes) -> tuple[str, bool]:
    for bom, encoding in _BOMS.items():
        if data.startswith(bom):
            try:
                return data[len(bom) :].decode(encoding), False
            except UnicodeDecodeError as err:
                raise Unreadable(Why.NOT_TEXT) from err
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        return _windows(data), True


def _windows(data: bytes) -> str:
    if b"\0" in data:
        raise Unreadable(Why.NOT_TEXT)
    words = _FOREIGN.findall(data)
    if words:
        text = data.decode("cp1256")
        if all(_ARABIC.fullmatch(word.decode("cp1256")) for word in words) and not _MIXED.search(text):
            return text
        raise Unreadable(Why.ENCODING)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as err:
        raise Unreadable(Why.ENCODING) from err
    if not is_western(text):
        raise Unreadable(Why.ENCODING)
    return text


# --- whether what was read with western letters is written with them ------------------------------------------------

# Windows has an alphabet each for central Europe, Turkey and the Baltic. All have the bytes of the western one, for
# letters of their own: "Michał" is read as "Michal" with a small three at its end, "Ayşe" with a thorn in its midst.
# What follows is what no western language writes.

#: Signs that are no letters, where the other alphabets have some; in the midst of a word, or at one end of it.
_SIGN_IN_WORD = re.compile(r"(?:[^\W\d_][£¥¦¨¯³´¸¹¼½¾¿×÷]|[£¥¦¨¯³´¸¹¼½¾÷][^\W\d_]|[^\W\d_][ªº][^\W\d_]|\b[ªº][^\W\d_])")
#: What stands in the midst of a word when an old Macintosh's letters are read as Windows'.
_OLD_MAC = re.compile(r"[^\W\d_][ƒ„…†‡ˆ‰‹•˜™›][^\W\d_]|[a-zà-ÿ][ŠŒŽŸ]")
_SHORTENED = {"mª", "dª", "nº", "ª", "º"}  # María, Doña, Número; and what stands after digits
_WORD = re.compile(r"[^\W\d_]+")
#: The letters beyond ASCII that western languages use beside one another in one name.
_TOGETHER = [
    set(letters)
    for letters in (
        "åäæøöüéèáàôêšžó",  # Danish, Norwegian, Swedish, Finnish, German
        "áæðéíóöúýþ",  # Icelandic, Faroese
        "àâæçèéêëîïôœùûüÿñ",  # French, Breton, Dutch, Albanian
        "àèéìíîòóùúç",  # Italian
        "áàçèéíïñòóúü",  # Spanish, Catalan, Galician
        "áàâãçéêíóôõúü",  # Portuguese
        "áâäçéèêëíïóöôúûüîß",  # Dutch, German, Hungarian; Turkish without letters of its own
        "áäéíóôöúüýšžõ",  # Czech, Slovak and Estonian, where their letters are the western ones
    )
]
_VOWELS, _CONSONANTS = "aeiouyáàâãäåæèéêëìíîïòóôõöøùúûüýœ", "bcdfghjklmnpqrstvwxzçñðþšž"
#: What no western language writes, and what it is elsewhere.
_NEVER = re.compile(
    "|".join(
        (
            r"æ$",  # ć: Tomić
            rf"[{_VOWELS}]ø|[{_CONSONANTS}]øi",  # ř: Dvořák, Oldřich
            rf"è(?:[{_VOWELS}]|[{_CONSONANTS}]{{1,2}}(?:[aioáíóúýàâ]|u(?!e)))",  # č: Čech, Potočnik; not "Geneviève"
            r"[ai]è$",  # Kovač; not "Giosuè"
            r"ì.",  # ě: Němec; ģ: Ģirts
            r"ù.",  # ů: Kůrka
            rf"[{_VOWELS}]ò|ò[{_VOWELS}]",  # ň: Soňa; ņ: Liepiņa; not "Niccolò"
            rf"ñ(?:[{_CONSONANTS}]|$)",  # ń: Kamiński
            rf"[{_VOWELS}]œ|^œ[{_CONSONANTS}][^eo]|œ$",  # ś: Jaśko, Świątek; not "Kœnig"
            r"ê(?:[bgkp]|dr|dz|cz)",  # ę: Jędrzej
            rf"ã[{_CONSONANTS}]",  # ă: Bănescu
            r"iã$",  # Ioniță, its other letter lost
            rf"^[{_CONSONANTS}]ç[{_CONSONANTS}]",  # ē: Pēteris
            rf"^ï|[{_CONSONANTS}]ï",  # ď: Ďurko; ļ: Kārļis
            rf"[{_CONSONANTS}]ë$",  # ė: Kazlauskienė
            r"îte$|îtis$",  # ī: Rozīte
            r"ûnas$",  # ū: Šarūnas
            r"ûs$|^szû",  # ű: Hegedűs
            r"õ$|^(?:gy|sz)õ|[áéíóúöü]\w*õ(?!es)|õ(?!es)\w*[áéíóúöü]",  # ő: Győri
        )
    )
)
_ICELANDIC = ("son", "dóttir")
_NOT_ICELANDIC = re.compile(r"^ð|þ[^aeiouyáéíóúýöærvj]|tð")  # Ševtšenko, Nadežda


def is_western(text: str) -> bool:
    """Whether this was written in a western language, as far as its words tell."""
    if _OLD_MAC.search(text) or _SIGN_IN_WORD.search(text):
        return False
    words = {word.casefold() for word in _WORD.findall(text) if not word.isascii()} - _SHORTENED
    return all(map(_may_be_western, words)) and not _is_turkish(words) and not _is_hungarian(words)


def _may_be_western(word: str) -> bool:
    beyond = {letter for letter in word if letter > "\x7f"}
    return any(beyond <= letters for letters in _TOGETHER) and not _NEVER.search(word)


def _is_turkish(words: Collection[str]) -> bool:
    """Whether ð, þ and ý are ğ, ş and ı, or the Baltic š and ž, and not of Iceland; and ý not of Prague."""
    if any(word.endswith(_ICELANDIC) for word in words):
        return any(map(_NOT_ICELANDIC.search, words))
    if any("ð" in word or "þ" in word for word in words):
        return True
    inner = any("ý" in word[:-1] for word in words)
    return inner and not any(map(re.compile("[áéíóúšž]").search, words))


def _is_hungarian(words: Collection[str]) -> bool:
    """Whether õ is ő. In Portuguese an e follows; Estonian has no other accent, and rarely a list without ä."""
    if any("ä" in word for word in words) or not any(map(re.compile("õ(?!e)").search, words)):
        return False
    return any(map(re.compile("[áéíóú]").search, words))
