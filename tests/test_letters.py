"""The letters to learners: what they say, in which language, and that nothing typed by a customer can do harm."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge.domain.letters import (
    REASONS,
    WITH_LINK,
    CourseLine,
    Letter,
    Message,
    Reason,
    choose_language,
    greeting_name,
    one_line,
)
from bridge.errors import Refused
from bridge.letters.render import OF_A_LANGUAGE, OURS, Letters, check_templates, moment
from bridge.letters.samples import sample, samples

LANGUAGES = ("ar", "en", "es", "fr")
SITE = "https://learn.example.org"
UNTIL = datetime(2027, 3, 1, 14, 30, tzinfo=UTC)
COURSE = CourseLine("Rules of origin", f"{SITE}/course/view.php?id=7", UNTIL)


class Seen(HTMLParser):
    """What a reader of the HTML sees and may click, and that each tag which is opened is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(source)
        self.close()
        assert self.open == []
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words += data


def letters(folder: Path | None = None, **others: object) -> Letters:
    return Letters(folder, site=SITE, sender="Customs Academy", **others)  # type: ignore[arg-type]


def letter(kind: Letter, language: str = "en", **others: object) -> Message:
    """A letter of this kind about one course, or with a link."""
    reason = next(iter(REASONS[kind]), None)
    link = f"{SITE}/link#secret" if kind in WITH_LINK else ""
    made = Message(kind, "marie@example.org", "Marie", language, (COURSE,), reason, ("1041",), link)
    return replace(made, **others)  # type: ignore[arg-type]


# --- what a letter may be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Letter)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_letter_gives_a_reason_of_its_own_kind_or_can_not_be_made(kind: Letter, reason: Reason | None) -> None:
    fits = reason in REASONS[kind] if REASONS[kind] else reason is None
    if fits:
        assert letter(kind, reason=reason).reason is reason
    else:
        with pytest.raises(ValueError, match="no reason for the letter"):
            letter(kind, reason=reason)


def test_every_reason_belongs_to_a_letter() -> None:
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(Reason)


def test_a_letter_is_about_something() -> None:
    with pytest.raises(ValueError, match="at least one course"):
        letter(Letter.READY, courses=())


def test_a_letter_with_a_link_has_one() -> None:
    with pytest.raises(ValueError, match="has one"):
        letter(Letter.LINK, start_url="")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_letter_with_a_link_leads_by_it_and_greets_by_no_link(language: str) -> None:
    written = letters().write(letter(Letter.LINK, language, name="Win at https://evil.example", courses=()))
    assert f"{SITE}/link#secret" in written.text.split()
    assert f"{SITE}/link#secret" in Seen(written.html).links
    assert "evil" not in written.text + written.html


def test_a_letter_that_access_ends_soon_tells_when_for_each_course() -> None:
    with pytest.raises(ValueError, match="tells when"):
        letter(Letter.ENDS_SOON, courses=(COURSE, CourseLine("Another")))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example", "learn.example.org", "data:text/html,x"])
def test_a_course_leads_to_a_web_address_or_nowhere(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        CourseLine("A course", url)


def test_a_moment_without_a_timezone_is_no_moment() -> None:
    with pytest.raises(ValueError, match="timezone"):
        CourseLine("A course", until=datetime(2027, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("fr", "fr"), ("fr_CA", "fr"), ("fr-FR", "fr"), ("FR", "fr"), (" fr ", "fr"), ("en_GB", "en"), ("de", "en"),
        ("", "en"), ("pt-BR", "pt_br"), ("pt_PT", "en"), ("french", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_wanted_one_or_its_parent_or_the_default(wanted: str, chosen: str) -> None:
    assert choose_language(wanted, ["en", "fr", "pt_br"], "en") == chosen


@pytest.mark.parametrize(
    ("name", "greeted"),
    [
        ("Marie", "Marie"), ("  Anne-Marie   O’Neill ", "Anne-Marie O’Neill"), ("J. R. Müller", "J. R. Müller"),
        ("李小龍", "李小龍"), ("-", ""), ("Marie -", "Marie"), ("", ""), ("x" * 61, ""),
        ("Win at evil.example", ""), ("https:evil", ""), ("www.evil.example/a", ""), ("a@evil.example", ""),
        ("<b>Marie</b>", ""), ("Marie\r\nBcc: x", ""), ("Marie\nDupont", "Marie Dupont"),
    ],
)  # fmt: skip
def test_a_name_that_carries_a_link_is_no_name(name: str, greeted: str) -> None:
    assert greeting_name(name) == greeted


def test_one_line_is_one_line() -> None:
    assert one_line(" a\r\nb\u2028c\x00d\x85e\ud800f\tg ") == "a b c d e f g"


# --- what it says ------------------------------------------------------------------------------------------------

SUBJECTS = {
    ("en", Letter.READY): "Your access to “Rules of origin” is ready",
    ("en", Letter.WAITING): "Your access to “Rules of origin” is not ready yet",
    ("en", Letter.ENDS_SOON): "Your access to “Rules of origin” ends soon",
    ("en", Letter.ENDED): "Your access to “Rules of origin” has ended",
    ("fr", Letter.READY): "Votre accès à «\xa0Rules of origin\xa0» est ouvert",
    ("fr", Letter.WAITING): "Votre accès à «\xa0Rules of origin\xa0» n’est pas encore ouvert",
    ("fr", Letter.ENDS_SOON): "Votre accès à «\xa0Rules of origin\xa0» prend bientôt fin",
    ("fr", Letter.ENDED): "Votre accès à «\xa0Rules of origin\xa0» a pris fin",
    ("es", Letter.READY): "Su acceso a «Rules of origin» está disponible",
    ("es", Letter.WAITING): "Su acceso a «Rules of origin» todavía no está disponible",
    ("es", Letter.ENDS_SOON): "Su acceso a «Rules of origin» termina pronto",
    ("es", Letter.ENDED): "Su acceso a «Rules of origin» ha terminado",
    # The name keeps the direction of its own letters.
    ("ar", Letter.READY): "أصبح وصولك متاحًا إلى «\u2068Rules of origin\u2069»",
    ("ar", Letter.WAITING): "وصولك ليس متاحًا بعد إلى «\u2068Rules of origin\u2069»",
    ("ar", Letter.ENDS_SOON): "ينتهي قريبًا وصولك إلى «\u2068Rules of origin\u2069»",
    ("ar", Letter.ENDED): "انتهى وصولك إلى «\u2068Rules of origin\u2069»",
}
GREETINGS = {
    "en": "Hello Marie,",
    "fr": "Bonjour Marie,",
    "es": "Hola, Marie:",
    "ar": "مرحبًا \u2068Marie\u2069،",
}


@pytest.mark.parametrize(("language", "kind"), SUBJECTS)
def test_each_letter_names_person_course_order_and_sender_in_text_and_html(language: str, kind: Letter) -> None:
    written = letters().write(letter(kind, language))
    assert written.language == language
    # one_line folds every white space into a plain space, the French no-break space too
    assert written.subject == SUBJECTS[language, kind].replace("\xa0", " ")
    seen = Seen(written.html)
    assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in written.html
    for words in (written.text, seen.words):
        for said in ("Marie", "Rules of origin", "1041", "Customs Academy"):
            assert said in words
    assert "\n\n\n" not in written.text
    assert written.text.startswith(GREETINGS[language])
    assert GREETINGS[language] in seen.words


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Letter)
def test_text_and_html_say_the_same(language: str, kind: Letter) -> None:
    for message in samples(kind):
        written = letters(replies=True).write(replace(message, language=language))
        spoken = " ".join(re.sub(r"https://\S+|[*]|\n-- \n", " ", written.text).split())
        seen = re.sub(r"https://\S+", "", Seen(written.html).words)
        # Only the ways in are worded differently: a link here, a button there.
        alike = [part for part in re.split(r"(?<=[.:?,])\s", spoken) if part.strip()]
        strange = [part for part in alike if " ".join(part.split()) not in " ".join(seen.split())]
        assert len(strange) <= (3 if kind is Letter.READY else 1), strange


FORGOTTEN = {
    "en": "Forgotten password",
    "fr": "Mot de passe oublié",
    "es": "Contraseña olvidada",
    "ar": "نسيت كلمة المرور",
}


def test_the_letter_of_readiness_tells_how_to_get_in_and_mails_no_password() -> None:
    for language, forgotten in FORGOTTEN.items():
        written = letters().write(letter(Letter.READY, language))
        assert SITE in written.text.split()
        assert COURSE.url in written.text.split()
        assert forgotten in written.text
        seen = Seen(written.html)
        assert forgotten in seen.words
        assert {SITE, COURSE.url} == set(seen.links)


def test_with_a_link_that_signs_in_nobody_is_sent_to_look_for_a_password() -> None:
    start = "https://bridge.example.org/go?to=7&ticket=abc"
    for language in LANGUAGES:
        written = letters().write(letter(Letter.READY, language, start_url=start))
        assert start in written.text.split()
        assert start in Seen(written.html).links
        assert FORGOTTEN[language] not in written.text + written.html


@pytest.mark.parametrize("kind", [Letter.WAITING, Letter.ENDED])
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_reason_is_told_in_its_own_words_and_no_link_leads_to_a_closed_door(kind: Letter, language: str) -> None:
    told = set()
    for reason in REASONS[kind]:
        written = letters().write(letter(kind, language, reason=reason))
        told.add(written.text)
        assert Seen(written.html).links == []
        assert "http" not in written.text
    assert len(told) == len(REASONS[kind])


@pytest.mark.parametrize("language", LANGUAGES)
def test_several_courses_are_counted_in_the_subject_and_named_in_the_letter(language: str) -> None:
    several = (COURSE, CourseLine("Valuation"), CourseLine("Transit"))
    written = letters().write(letter(Letter.READY, language, courses=several))
    told = {"en": "3 courses", "fr": "3 cours", "es": "3 cursos", "ar": "3 دورات"}
    assert written.subject.replace(told[language], "") != written.subject
    for words in (written.text, Seen(written.html).words):
        assert all(course.name in words for course in several)


def test_only_a_sender_who_reads_answers_invites_to_reply() -> None:
    invitations = {
        "en": "reply to this message",
        "fr": "répondre à ce message",
        "es": "responder a este mensaje",
        "ar": "الرد على هذه الرسالة",
    }
    for language, invitation in invitations.items():
        for replies in (True, False):
            written = letters(replies=replies).write(letter(Letter.ENDED, language))
            assert (invitation in written.text) is replies
            assert (invitation in Seen(written.html).words) is replies


def test_without_a_name_and_without_an_order_nothing_is_left_dangling() -> None:
    bare = {"name": "", "order_numbers": (), "courses": (CourseLine("A course"),)}
    bounds = {
        "en": ("Hello,", "because of your courses."),
        "fr": ("Bonjour,", "de vos cours."),
        "es": ("Hola:", "de sus cursos."),
        "ar": ("مرحبًا،", "بشأن دوراتك."),
    }
    for language, (hello, foot) in bounds.items():
        written = letters().write(letter(Letter.READY, language, **bare))
        assert written.text.startswith(hello + "\n")
        assert written.text.rstrip().endswith(foot)
        assert not re.search("until|jusqu|hasta|حتى", written.text)


# --- moments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "language", "zone", "told"),
    [
        (UNTIL, "en", "UTC", "1 March 2027, 14:30 (UTC)"),
        (UNTIL, "fr", "UTC", "1er mars 2027, 14:30 (UTC)"),
        (UNTIL + timedelta(days=10), "fr", "UTC", "11 mars 2027, 14:30 (UTC)"),
        (UNTIL + timedelta(days=20), "fr", "UTC", "21 mars 2027, 14:30 (UTC)"),
        (UNTIL, "de", "UTC", "1. März 2027, 14:30 (UTC)"),
        (UNTIL, "es", "UTC", "1 de marzo de 2027, 14:30 (UTC)"),
        (UNTIL, "ar", "Asia/Dubai", "1 مارس 2027، 18:30 (UTC+04:00)"),
        (UNTIL, "en", "Europe/Brussels", "1 March 2027, 15:30 (UTC+01:00)"),
        (UNTIL + timedelta(days=120), "en", "Europe/Brussels", "29 June 2027, 16:30 (UTC+02:00)"),
        (UNTIL, "en", "America/New_York", "1 March 2027, 09:30 (UTC-05:00)"),
        (datetime(2027, 2, 28, 23, 30, tzinfo=UTC), "en", "Asia/Kolkata", "1 March 2027, 05:00 (UTC+05:30)"),
        (datetime(2027, 3, 1, tzinfo=timezone(timedelta(hours=1))), "en", "UTC", "28 February 2027, 23:00 (UTC)"),
    ],
)
def test_a_moment_is_told_to_the_minute_and_with_its_clock(when: datetime, language: str, zone: str, told: str) -> None:
    assert moment(when, language, ZoneInfo(zone)) == told


def test_the_end_of_access_is_told_in_the_configured_timezone() -> None:
    written = letters(timezone="Europe/Brussels").write(letter(Letter.ENDS_SOON, "fr"))
    assert "jusqu’au 1er mars 2027, 15:30 (UTC+01:00)" in written.text
    assert "jusqu’au 1er mars 2027, 15:30 (UTC+01:00)" in Seen(written.html).words


# --- what customers and course authors type ----------------------------------------------------------------------

NASTY = '<script>alert("x")</script> & </td>\r\nSubject: {{ site_url }}'


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", [kind for kind in Letter if kind not in WITH_LINK])
def test_what_others_typed_is_text_and_nothing_else(language: str, kind: Letter) -> None:
    message = letter(
        kind, language, name=NASTY, order_numbers=(NASTY,), courses=(CourseLine(NASTY, f'{SITE}/"><script>', UNTIL),)
    )
    written = letters(replies=True).write(message)
    seen = Seen(written.html)
    assert "script" not in seen.tags
    assert '<script>alert("x")</script>' in seen.words
    assert '<script>alert("x")</script> & </td> Subject: {{ site_url }}' in written.text
    assert "\n" not in written.subject
    assert "\r" not in written.text + written.html
    assert set(seen.links) <= {SITE, f'{SITE}/"><script>'}


# --- templates ---------------------------------------------------------------------------------------------------


def test_all_languages_have_the_same_set_of_templates() -> None:
    for language in LANGUAGES:
        assert sorted(path.name for path in (OURS / language).iterdir()) == sorted(OF_A_LANGUAGE)
    assert letters().languages == list(LANGUAGES)


def test_our_own_templates_have_no_problem() -> None:
    assert check_templates(None) == []
    assert [check_templates(None, language=language) for language in LANGUAGES] == [[]] * len(LANGUAGES)


OWN = {
    "en": r"access|you|your|course|is|until",
    "fr": r"accès|vous|votre|cours|est|jusqu’au",
    "es": r"acceso|usted|su|sus|cursos?|está|hasta",
    "ar": r"[\u0621-\u064a]+",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Letter)
def test_no_template_is_left_with_the_words_of_another_language(kind: Letter, language: str) -> None:
    written = letters(replies=True).write(sample(kind, language=language))
    for said in (written.text, Seen(written.html).words):
        said = re.sub(r"https://\S+", "", said)
        found = {one for one, words in OWN.items() if re.search(rf"\b({words})\b", said, re.IGNORECASE)}
        assert found == {language}


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (2, "دورتين"),
        (3, "3 دورات"),
        (10, "10 دورات"),
        (11, "11 دورة"),
        (99, "99 دورة"),
        (100, "100 دورة"),
        (103, "103 دورات"),
    ],
)
def test_arabic_counts_courses_by_their_number(number: int, told: str) -> None:
    several = tuple(CourseLine(f"Course {one}") for one in range(number))
    subject = letters().write(letter(Letter.READY, "ar", courses=several)).subject
    assert subject == f"أصبح وصولك متاحًا إلى {told}"


@pytest.mark.parametrize("kind", [Letter.INVITATION, Letter.MANAGE])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_company_is_named_where_it_has_a_name(kind: Letter, language: str) -> None:
    named = letters().write(sample(kind, language=language))
    for said in (named.subject, named.text, Seen(named.html).words):
        assert "Harbour & Sons" in said
    unnamed = letters().write(replace(sample(kind, language=language), team=""))
    company = {"en": "company", "fr": "entreprise", "es": "empresa", "ar": "إحدى الشركات"}[language]
    for said in (unnamed.text, Seen(unnamed.html).words):
        assert company in said
        assert not re.search("  |None", said)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_file_in_the_operator_s_folder_wins_over_ours_and_the_others_stay(tmp_path: Path) -> None:
    put(tmp_path, "en/ready.txt.j2", "In: {{ courses[0].name }}\nWelcome.")
    own = letters(tmp_path)
    written = own.write(letter(Letter.READY))
    assert (written.subject, written.text) == ("In: Rules of origin", "Welcome.\n")
    assert "<h1" in written.html
    assert "In: Rules of origin" in Seen(written.html).words, "the subject is the text's, in both"
    assert own.write(letter(Letter.READY, "fr")) == letters().write(letter(Letter.READY, "fr"))
    assert own.write(letter(Letter.ENDED)) == letters().write(letter(Letter.ENDED))


def test_a_template_may_build_on_ours(tmp_path: Path) -> None:
    put(
        tmp_path,
        "en/ended.txt.j2",
        '{% extends "ours/en/ended.txt.j2" %}{% block subject %}Over: {{ words.which(courses) }}{% endblock %}',
    )
    written = letters(tmp_path).write(letter(Letter.ENDED))
    assert written.subject == "Over: “Rules of origin”"
    assert written.text == letters().write(letter(Letter.ENDED)).text
    assert check_templates(tmp_path) == []


def test_the_layout_and_the_words_can_be_replaced_as_well(tmp_path: Path) -> None:
    layout = (OURS / "base.html.j2").read_text(encoding="utf-8").replace("#eef1f4", "#ffeedd")
    put(tmp_path, "base.html.j2", layout)
    words = (OURS / "en" / "words.j2").read_text(encoding="utf-8").replace("Hello", "Good day")
    put(tmp_path, "en/words.j2", words)
    written = letters(tmp_path).write(letter(Letter.WAITING))
    assert "#ffeedd" in written.html
    assert written.text.startswith("Good day Marie,")
    assert "Good day Marie," in Seen(written.html).words


def a_language(folder: Path, name: str) -> Path:
    for template in OF_A_LANGUAGE:
        put(folder, f"{name}/{template}", (OURS / "en" / template).read_text(encoding="utf-8"))
    return folder


def test_a_folder_may_add_a_language(tmp_path: Path) -> None:
    put(tmp_path, "_parts/logo.j2", "not a language")
    a_language(tmp_path, "fa")
    own = letters(tmp_path)
    assert own.languages == sorted([*LANGUAGES, "fa"])
    assert check_templates(tmp_path, language="fa") == []
    written = own.write(letter(Letter.READY, "fa_AF"))
    assert written.language == "fa"
    assert '<html lang="fa" dir="rtl">' in written.html


def test_a_language_that_is_not_complete_is_not_used_and_found_by_the_check(tmp_path: Path) -> None:
    a_language(tmp_path, "de")
    (tmp_path / "de" / "ended.html.j2").unlink()
    own = letters(tmp_path)
    assert own.write(letter(Letter.READY, "de")).language == "en"
    assert check_templates(tmp_path) == ["de/ended.html.j2 is missing: the language is not used"]
    assert "there are not all templates in the language de" in check_templates(tmp_path, language="de")
    assert letters(tmp_path, language="de").write(letter(Letter.READY, "de")).language == "en", "better than none"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("en/ready.txt.j2", "S\n{{ courses[0].name }} {{ curses }}", "en/ready: UndefinedError: 'curses' is undefined"),
        ("en/ready.txt.j2", "S\n{{ courses[0].nam }}", "en/ready: UndefinedError"),
        ("en/ready.txt.j2", "S\n{% if", "en/ready: TemplateSyntaxError"),
        ("en/ready.txt.j2", "S\n{{ courses + 1 }}", "en/ready: TypeError"),
        ("en/ready.txt.j2", "S\n{% include 'nothing.j2' %}", "en/ready: TemplateNotFound"),
        ("en/ready.txt.j2", "S\n{% include 'en/ready.txt.j2' %}", "en/ready: RecursionError"),
        ("fr/ended.txt.j2", "\n{{ courses[0].name }}", "fr/ended: the text's first line is the subject"),
        ("fr/ended.txt.j2", '{% extends "base.txt.j2" %}', "fr/ended: the text's first line is the subject"),
        ("fr/ended.txt.j2", "Fini\n", "fr/ended: the text is empty"),
        ("fr/ended.txt.j2", "Fini\n{{ courses[0].name }}", "fr/ended: the text does not name every course"),
        ("en/ended.html.j2", "{{ courses[0].name|safe }}", "en/ended: something gets into the HTML"),
        ("en/ended.html.j2", "{{ sender|safe }}", "en/ended: something gets into the HTML"),
        ("en/ended.html.j2", "{{ order_numbers[0]|safe if order_numbers }}", "en/ended: something gets into the HTML"),
        ("en/redy.txt.j2", "S\nText", "en/redy.txt.j2 replaces no template"),
        ("ready.txt.j2", "S\nText", "ready.txt.j2 replaces no template"),
        ("en/words.j2", "{% macro greeting(name) %}Hi{% endmacro %}", "en/waiting: UndefinedError"),
    ],
)
def test_the_check_finds_what_is_wrong_in_a_folder(tmp_path: Path, name: str, text: str, says: str) -> None:
    problems = check_templates(put(tmp_path, name, text))
    assert any(problem.startswith(says) for problem in problems), problems


def test_a_template_that_is_no_text_is_found(tmp_path: Path) -> None:
    put(tmp_path, "en/ready.txt.j2", "")
    (tmp_path / "en" / "ready.txt.j2").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "fr" / "words.j2").mkdir(parents=True)
    problems = check_templates(tmp_path)
    assert any(problem.startswith("en/ready: UnicodeDecodeError") for problem in problems)


def test_a_reason_that_was_left_out_of_the_words_is_found(tmp_path: Path) -> None:
    words = (OURS / "fr" / "words.j2").read_text(encoding="utf-8")
    put(tmp_path, "fr/words.j2", re.sub(r'  "payment_review": .*\n', "", words))
    (problem,) = check_templates(tmp_path)
    assert problem.startswith("fr/waiting: UndefinedError")
    assert "payment_review" in problem


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    assert check_templates(tmp_path / "nowhere") == ["mail.templates names no folder"]


def test_a_template_that_fails_parks_the_letter_and_quotes_nobody(tmp_path: Path) -> None:
    put(tmp_path, "en/ready.txt.j2", "S\n{{ courses[name] }}")
    with pytest.raises(Refused) as caught:
        letters(tmp_path).write(letter(Letter.READY))
    assert str(caught.value) == "the template of the letter ready (en) fails: UndefinedError"
    assert caught.value.__cause__ is None
