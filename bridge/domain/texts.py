"""Totara's texts made fit for a shop: one language, clean HTML."""

from __future__ import annotations

import html
import re

import nh3

# As Totara's own filter: a span only with class="multilang", since Word marks every bit of text with a lang.
_OPEN = r"""<(?:span(?=[^>]*\sclass=["']?multilang\b)|lang\b)(?=[^>]*\slang=)[^>]*>"""
_INSIDE = r"""[^<]*(?:<(?!/(?:span|lang)>)[^<]*)*"""  # up to the first end, and never beyond it
_ONE = rf"""{_OPEN}{_INSIDE}</(?:span|lang)>"""
#: Two or more pieces with nothing but white space between them are the same text in several languages.
_BLOCK = re.compile(rf"{_ONE}(?:\s*{_ONE})+", re.DOTALL | re.IGNORECASE)
_PIECE = re.compile(
    r"""<(?:span|lang)[^>]*\slang=["']?(?P<lang>[a-zA-Z0-9_-]+)[^>]*>(?P<text>.*?)</(?:span|lang)>""",
    re.DOTALL | re.IGNORECASE,
)

#: What a product description may hold. WordPress removes the rest anyway, and would then never compare equal.
ALLOWED_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "li", "ol", "p", "pre", "q", "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "u", "ul",
}  # fmt: skip
ALLOWED_ATTRIBUTES = {"a": {"href", "title"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}


def one_language(text: str, language: str) -> str:
    """The text in ``language``, out of Totara's multilang markup.

    Within a block of adjacent pieces the wanted language wins, then its parent ("fr" for "fr_ca"), then a regional
    form of it, then the first piece; text outside of blocks stays.
    """
    wanted = language.replace("-", "_").lower()

    def choose(block: re.Match[str]) -> str:
        pieces: list[tuple[str, str]] = [
            (m["lang"].replace("-", "_").lower(), m["text"]) for m in _PIECE.finditer(block[0])
        ]
        texts = dict(reversed(pieces))
        base = wanted.split("_")[0]
        for language in (wanted, base):
            if language in texts:
                return texts[language]
        regional = [text for name, text in pieces if name.split("_")[0] == base]
        return regional[0] if regional else pieces[0][1]

    return _BLOCK.sub(choose, text)


def plain(text: str, language: str) -> str:
    """A name: one language, no markup, entities resolved, white space folded."""
    without_markup = nh3.clean(one_language(text, language), tags=set())
    return " ".join(html.unescape(without_markup).split())


def clean_html(text: str, language: str) -> str:
    """A description: one language, only harmless markup, no pictures or files that need a Totara login."""
    cleaned = nh3.clean(
        one_language(text, language),
        tags=ALLOWED_TAGS,
        attributes=ALLOWED_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    return cleaned.strip()
