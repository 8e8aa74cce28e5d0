"""The words of the bridge's pages: a file for each language, with the same keys. Values are plain text: pages escape
them. What stands in braces is filled in by ``format``; what is counted has a key for each plural form of its language.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from babel import Locale

OURS = Path(__file__).parent
#: The languages that there are pages in; the first is for whoever asks for none of them.
LANGUAGES = ("en", "fr", "es", "ar")


class Words(dict[str, str]):
    """The words of one language, by key."""

    def counted(self, key: str, number: int, **values: object) -> str:
        """The words under ``key`` for so many: ``key_one``, ``key_few`` … as the language has it, ``{n}`` filled in."""
        form = Locale.parse(self["language"]).plural_form(number)
        words = self.get(f"{key}_{form}") or self[f"{key}_other"]
        return words.format(n=number, **values)


def words_for(language: str) -> Words:
    """The words of a language, by its code as browsers or WordPress write it; English where we have none of it."""
    code = language[:2].lower()
    return _read(code if code in LANGUAGES else LANGUAGES[0])


@cache
def _read(language: str) -> Words:
    return Words(tomllib.loads((OURS / f"{language}.toml").read_text(encoding="utf-8")))
