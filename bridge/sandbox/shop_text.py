"""Text as WordPress shows it: what it lets through, and the paragraphs it puts round it."""

from __future__ import annotations

import html
import re
from typing import Any

from bridge.sandbox.shop_shapes import words

_ALLOWED = set(
    words(
        "a abbr b blockquote br caption cite code dd del details div dl dt em figcaption figure h1 h2 h3 h4 "
        "h5 h6 hr i img ins kbd li mark ol p pre q s section small span strike strong sub summary sup table "
        "tbody td tfoot th thead tr u ul video audio source"
    )
)
_BLOCKS = (
    "(?:table|thead|tfoot|caption|col|colgroup|tbody|tr|td|th|div|dl|dd|dt|ul|ol|li|pre|form|map|area|blockquote|"
    "address|style|p|h[1-6]|hr|fieldset|legend|section|article|aside|hgroup|header|footer|nav|figure|figcaption|"
    "details|menu|summary)"
)


def kses(text: str) -> str:
    """What WordPress keeps of HTML in a post: the tags (not their text) of scripts and frames go, and event
    handlers; a bare ``&`` becomes ``&amp;``.
    """

    def tag(found: re.Match[str]) -> str:
        if found[1].lower() not in _ALLOWED:
            return ""
        return re.sub(r"""\s+on\w+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", "", found[0], flags=re.IGNORECASE)

    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"</?([a-zA-Z][\w-]*)(?:\"[^\"]*\"|'[^']*'|[^'\">])*>", tag, text)
    text = re.sub(r"<(?![a-zA-Z/])", "&lt;", text)
    return re.sub(r"&(?!#\d+;|#x[0-9a-fA-F]+;|[a-zA-Z][a-zA-Z0-9]*;)", "&amp;", text)


def autop(text: str) -> str:
    """Paragraphs as WordPress puts them round a description: "Hello" is answered as ``<p>Hello</p>`` and a
    newline.
    """
    if not text.strip():
        return ""
    text = re.sub(r"\r\n?", "\n", text) + "\n"
    text = re.sub(rf"(<{_BLOCKS}[\s/>])", r"\n\n\1", text)
    text = re.sub(rf"(</{_BLOCKS}>)", r"\1\n\n", text)
    parts = [part.strip("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]
    text = "".join(f"<p>{part}</p>\n" for part in parts)
    text = re.sub(r"<p>\s*</p>", "", text)
    text = re.sub(rf"<p>\s*(</?{_BLOCKS}[^>]*>)", r"\1", text)
    text = re.sub(rf"(</?{_BLOCKS}[^>]*>)\s*</p>", r"\1", text)
    text = re.sub(r"(?<!<br />)\n(?!$)", "<br />\n", text)
    text = re.sub(rf"(</?{_BLOCKS}[^>]*>)\s*<br />", r"\1", text)
    return re.sub(rf"<br />(\s*</?{_BLOCKS}[^>]*>)", r"\1", text)


def shown_name(text: Any) -> str:
    """A name as REST answers it: ``A & B`` comes back as ``A &amp; B``."""
    return kses(str(text or "")).strip()


def slugify(name: str) -> str:
    """A name for an address."""
    return re.sub(r"[^a-z0-9]+", "-", html.unescape(name).lower()).strip("-")
