"""Totara's texts on their way into the shop: one language, and nothing that could do harm."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.texts import ALLOWED_ATTRIBUTES, ALLOWED_TAGS, clean_html, one_language, plain

SAMPLES = Path(__file__).parent / "samples" / "totara"


def span(lang: str, text: str) -> str:
    return f'<span lang="{lang}" class="multilang">{text}</span>'


#: As Microsoft Word leaves it: every bit of text with its language, and none of it another's translation.
WORD = '<p><span lang="EN-GB">Part one</span><span lang="EN-GB"> part two</span></p>'
EN, FR, DE = span("en", "Trade"), span("fr", "Commerce"), span("de", "Handel")


# --- one language --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "read"),
    [
        (EN + FR, "en", "Trade"),
        (EN + FR, "fr", "Commerce"),
        (EN + FR, "FR", "Commerce"),
        (EN + "\n  " + FR + DE, "de", "Handel"),
        (EN + FR, "es", "Trade"),  # the first, when there is no better
        (FR + EN, "es", "Commerce"),
        (EN + FR, "fr_ca", "Commerce"),
        (EN + FR, "fr-CA", "Commerce"),
        (EN + span("fr_ca", "Négoce") + FR, "fr-CA", "Négoce"),
        (EN + span("fr_ca", "Négoce"), "fr", "Négoce"),
        (EN + span("fr_be", "B") + span("fr_ca", "C"), "fr", "B"),
        (f"Before {EN}{FR} after", "fr", "Before Commerce after"),
        (f"<p>{EN}{FR}</p><p>{DE}{FR}</p>", "de", "<p>Trade</p><p>Handel</p>"),
        ('<span class="multilang" lang="en">A</span><span class="multilang" lang="fr">B</span>', "fr", "B"),
        ("<span class=multilang lang=en>A</span><span class=multilang lang=fr>B</span>", "fr", "B"),
        ("<SPAN LANG='EN' CLASS='multilang'>A</SPAN><SPAN LANG='FR' CLASS='multilang'>B</SPAN>", "fr", "B"),
        ('<lang lang="en">A</lang><lang lang="fr">B</lang>', "fr", "B"),
        (span("en", "Two\nlines") + span("fr", "Deux\nlignes"), "fr", "Deux\nlignes"),
        (span("en", "") + FR, "en", ""),
        (f"{EN} and {EN}{FR}", "en", f"{EN} and Trade"),  # a piece alone, and then a choice
        # what is no choice stays
        ("Nothing to choose", "fr", "Nothing to choose"),
        (EN, "fr", EN),
        (EN + "x" + FR, "fr", EN + "x" + FR),
        (span("", "A") + span("", "B"), "fr", span("", "A") + span("", "B")),
        # a piece ends at the first end tag, whatever was opened in it
        (f"<lang lang='en'><b>{FR}{DE}", "de", "Handel"),
        ("", "fr", ""),
        ("<span>plain</span><span>plain</span>", "fr", "<span>plain</span><span>plain</span>"),
        ("1 < 2 and 3 > 2", "fr", "1 < 2 and 3 > 2"),
        (WORD, "en", WORD),
    ],
)
def test_of_a_text_in_several_languages_one_is_taken(text: str, language: str, read: str) -> None:
    assert one_language(text, language) == read


def test_what_a_real_course_says_is_read_in_each_language() -> None:
    recorded = json.loads((SAMPLES / "ws-moodlewssetting-variants.json").read_text())
    raw = recorded["[('moodlewssettingraw', 1)]"]["summary"]
    assert "<script>" in raw
    link = '<p>Tables &amp; <b>bold</b> <a href="https://lab.example/x">link</a></p>'
    assert clean_html(raw, "en") == f"<p>Learn the basics.</p>{link}"
    assert clean_html(raw, "fr") == f"<p>Apprenez les bases.</p>{link}"


@given(st.text(), st.text())
def test_a_text_without_a_choice_is_the_same_in_every_language(text: str, language: str) -> None:
    assert one_language(text, language) == text


PIECES = st.lists(
    st.one_of(
        st.text(alphabet="ab <>/&\"'=", max_size=6),
        st.sampled_from(
            [EN, FR, "<span lang=", '<span lang="en" class="multilang">', "</span>", "<lang lang='x'>", "</lang>", " "]
        ),
    ),
    max_size=12,
).map("".join)


@given(PIECES, st.sampled_from(["en", "fr", "", "x-y", "..", "*"]))
def test_broken_markup_never_fails_and_gives_nothing_that_was_not_there(text: str, language: str) -> None:
    found = one_language(text, language)
    assert len(found) <= len(text)
    one_language(found, language)


OPEN = '<span lang="en" class="multilang">'


@pytest.mark.parametrize(
    "text",
    [
        OPEN * 15_000, f"{OPEN}x " * 15_000, f"{EN}x" * 10_000, f"{EN}{FR}x" * 5_000, "<span " * 80_000,
        "<lang lang=" * 50_000, f"<span {' lang= class=multilang' * 20_000}", f"<span{' class=multilang' * 30_000}>",
        EN + " " * 500_000, f"{EN}{' ' * 1000}x" * 500, "<span" + " " * 500_000,
        "<" * 500_000, '<span lang="en">' * 30_000,
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_half_a_million_characters_of_wild_markup_take_no_time(text: str) -> None:
    began = time.process_time()
    one_language(text, "fr")
    assert time.process_time() - began < 2, "the time grows with the square of the length"


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Data protection & privacy", "Data protection & privacy"),
        ("Data protection &#38; privacy &#34;in practice&#34;", 'Data protection & privacy "in practice"'),
        ("Data protection &amp; privacy", "Data protection & privacy"),
        ("<b>Bold</b> name", "Bold name"),
        (f"{EN}{FR} 101", "Trade 101"),
        ("  two\n\t words \xa0 ", "two words"),
        ("1 < 2", "1 < 2"),
        ("<script>alert(1)</script>Name", "Name"),
        ("Excel für Einsteiger 🎓", "Excel für Einsteiger 🎓"),
        ("&lt;b&gt;", "<b>"),
        ("", ""),
        ("<img src=x onerror=alert(1)>", ""),
    ],
)
def test_a_name_is_plain_text(text: str, name: str) -> None:
    assert plain(text, "en") == name


@given(st.text() | PIECES)
def test_a_name_never_fails_and_holds_no_line_break(text: str) -> None:
    name = plain(text, "en")
    assert name == " ".join(name.split())


# --- descriptions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<p>Text</p>", "<p>Text</p>"),
        ("<p>Text", "<p>Text</p>"),
        ("  <p>Text</p>\n", "<p>Text</p>"),
        ("<p>a</p><script>alert(1)</script>", "<p>a</p>"),
        ("<SCRIPT SRC=//evil></SCRIPT>b", "b"),
        ("<style>p {color: red}</style><p>a</p>", "<p>a</p>"),
        ("<scr<script>ipt>alert(1)</scr</script>ipt>", "ipt&gt;alert(1)ipt&gt;"),
        ('<img src="https://lms/webservice/pluginfile.php/1/x.png?token=T">', ""),
        ('<iframe src="https://evil"></iframe>a', "a"),
        ('<p onclick="alert(1)" style="x" class="y" id="z">a</p>', "<p>a</p>"),
        ('<a href="javascript:alert(1)">a</a>', "<a>a</a>"),
        ('<a href="JaVaScRiPt:alert(1)">a</a>', "<a>a</a>"),
        ('<a href="java\nscript:alert(1)">a</a>', "<a>a</a>"),
        ('<a href="&#106;avascript:alert(1)">a</a>', "<a>a</a>"),
        ('<a href="data:text/html,x">a</a>', "<a>a</a>"),
        ('<a href="vbscript:x">a</a>', "<a>a</a>"),
        ('<a href="file:///etc/passwd">a</a>', "<a>a</a>"),
        ('<a href="https://x.example/?a=1&amp;b=2" title="T" target="_blank" rel="x">a</a>',
         '<a href="https://x.example/?a=1&amp;b=2" title="T">a</a>'),
        ('<a href="mailto:x@y.example">a</a>', '<a href="mailto:x@y.example">a</a>'),
        ('<table><tbody><tr><td colspan="2" onclick="x">a</td></tr></tbody></table>',
         '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>'),
        ("<h1>Too big</h1><h2>Good</h2>", "Too big<h2>Good</h2>"),
        ("<video><source src=x></video>", ""),
        ("<form><input value=x></form>", ""),
        ("<svg><script>alert(1)</script></svg>", ""),
        ("<!-- secret -->a", "a"),
        ("<?php echo 1 ?>a", "a"),
        ("a & b", "a &amp; b"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_description_keeps_only_what_is_harmless(text: str, html: str) -> None:
    assert clean_html(text, "en") == html


class Reader(HTMLParser):
    """Every tag and attribute of a text, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            [
                "<script>", "</script>", "<scr", "ipt>", "<SCRIPT ", "src=//evil ", "<svg onload=x>", "<math><mtext>",
                "<a href='javascript:x'>", '<a href="java\tscript:x">', "<p onclick=x>", "<!--", "-->", "<![CDATA[",
                "]]>",
                "<style>", "</style>", "<noscript>", "<template>", "<iframe srcdoc='<script>'>", "<textarea>",
                "<title>", EN, FR, "<span lang=en>", "</span>", "&lt;script&gt;", "&#60;script&#62;", "\x00",
                "<img src=x",
                " onerror=x>", "<table><td>", "<b", ">", "'", '"',
            ]
        ),
    ),
    max_size=10,
).map("".join)  # fmt: skip


@given(HOSTILE)
def test_no_hostile_text_gets_a_script_into_the_shop(text: str) -> None:
    found = clean_html(text, "en")
    assert not re.search(r"<\s*/?\s*(script|style|iframe|svg|img|object|template)", found, re.IGNORECASE)
    reader = Reader()
    reader.feed(found)
    reader.close()
    assert set(reader.tags) <= ALLOWED_TAGS
    for tag, name, value in reader.attributes:
        assert name in ALLOWED_ATTRIBUTES.get(tag, set()) | {"lang", "title"}
        if name == "href":
            assert not re.match(r"[\s\x00-\x20]*(javascript|data|vbscript|file)\s*:", value, re.IGNORECASE)


@given(HOSTILE)
def test_a_clean_text_is_not_changed_by_cleaning_it_again(text: str) -> None:
    once = clean_html(text, "en")
    assert clean_html(once, "en") == once
