"""How Totara prepares names and texts for an answer: escaped, cleaned, and perhaps in one language only."""

from __future__ import annotations

import re

_SCRIPT = re.compile(r"<(script|style|iframe|object)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_HANDLER = re.compile(r"""\s+on\w+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_SPAN = r'<span\b[^>]*class="multilang"[^>]*>.*?</span>'
_SPANS = re.compile(rf"{_SPAN}(?:\s*{_SPAN})*", re.DOTALL)
_ONE_SPAN = re.compile(r"<span\b([^>]*)>(.*?)</span>", re.DOTALL)
# The markup of one language in a text, without the text.
MULTILANG = re.compile(r'<span lang="[\w-]+" class="multilang">|</span>')
_TAG = re.compile(r"<[^>]*>")


def escaped(name: str) -> str:
    """A name as web services send it: with numbered entities, to be unescaped by the reader."""
    return name.replace("&", "&#38;").replace('"', "&#34;").replace("'", "&#39;")


def cleaned(html: str) -> str:
    """HTML without scripts and event handlers; the spans of the languages stay."""
    return _HANDLER.sub("", _SCRIPT.sub("", html))


def in_language(text: str, lang: str = "en") -> str:
    """What the multi-language filter leaves: of neighbouring spans the one in ``lang``, or else the first."""

    def choose(match: re.Match[str]) -> str:
        spans = _ONE_SPAN.findall(match.group())
        own = [content for attributes, content in spans if f'lang="{lang}"' in attributes]
        return str((own or [spans[0][1]])[0])

    return _SPANS.sub(choose, text)


def stripped(text: str) -> str:
    """Text without tags; the languages of a multi-language name run together."""
    return _TAG.sub("", text)
