"""Totara's texts made fit for a shop: one language, clean HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import nh3

# As Totara's own filter: a span only with class="multilang", since Word marks every bit of text with a lang. A tag ends
# before the next "<", so that no character is looked at by more than one of them.
_OPEN = re.compile(
    r"""<(?:span(?=[^<>]*\sclass=["']?multilang\b)|lang\b)(?=[^<>]*\slang=["']?(?P<lang>[a-z0-9_-]+))[^<>]*>""",
    re.IGNORECASE,
)
_CLOSE = re.compile(r"</(?:span|lang)>", re.IGNORECASE)
_SPACE = re.compile(r"\s*")

#: What a product description may hold. WordPress removes the rest anyway, and would then never compare equal.
ALLOWED_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "li", "ol", "p", "pre", "q", "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "u", "ul",
}  # fmt: skip
ALLOWED_ATTRIBUTES = {"a": {"href", "title"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}


_TO_TEXT = nh3.Cleaner(tags=set())
_TO_HTML = nh3.Cleaner(
    tags=ALLOWED_TAGS,
    attributes=ALLOWED_ATTRIBUTES,
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
)


def one_language(text: str, language: str) -> str:
    """The text in ``language``, out of Totara's multilang markup. Takes time in proportion to the text, whatever it is.

    Within a block of adjacent pieces the wanted language wins, then its parent ("fr" for "fr_ca"), then a regional
    form of it, then the first piece; text outside of blocks stays.
    """
    wanted = language.replace("-", "_").lower()
    read: list[str] = []
    at = 0
    for begin, end, pieces in _blocks(text):
        read += (text[at:begin], _choose(pieces, wanted))
        at = end
    return "".join((*read, text[at:]))


def _blocks(text: str) -> Iterator[tuple[int, int, list[tuple[str, str]]]]:
    """Where two or more pieces stand with nothing but white space between: begin, end, and (language, text) of each.

    A piece goes up to the first end tag, and never beyond it. One piece alone is no choice.
    """
    opened = _OPEN.search(text)
    while opened:
        begin, pieces, end = opened.start(), [], 0
        while opened and (closed := _CLOSE.search(text, opened.end())):
            pieces.append((opened["lang"].replace("-", "_").lower(), text[opened.end() : closed.start()]))
            end = closed.end()
            opened = _OPEN.match(text, _SPACE.match(text, end).end())  # type: ignore[union-attr]
        if not pieces:
            return  # nothing ends any more
        if len(pieces) > 1:
            yield begin, end, pieces
        opened = _OPEN.search(text, end)


def _choose(pieces: list[tuple[str, str]], wanted: str) -> str:
    texts = dict(reversed(pieces))
    base = wanted.split("_")[0]
    for language in (wanted, base):
        if language in texts:
            return texts[language]
    return next((text for name, text in pieces if name.split("_")[0] == base), pieces[0][1])


def plain(text: str, language: str) -> str:
    """A name: one language, no markup, entities resolved, white space folded."""
    return " ".join(html.unescape(_TO_TEXT.clean(one_language(text, language))).split())


def clean_html(text: str, language: str) -> str:
    """A description: one language, only harmless markup, no pictures or files that need a Totara login."""
    return _TO_HTML.clean(one_language(text, language)).strip()
