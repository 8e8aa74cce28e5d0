"""Templates become letters. A folder of the operator's may replace any template, and add languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
)

from bridge.domain.letters import Letter, Message, choose_language, greeting_name, one_line
from bridge.errors import Refused
from bridge.letters.samples import UNESCAPED, samples

OURS = Path(__file__).parent
#: What makes a language; beside it, a folder may hold parts of its own, whose names begin with "_".
OF_A_LANGUAGE = ("words.j2", *(f"{kind}.{form}.j2" for kind in Letter for form in ("txt", "html")))
OF_ALL = ("base.txt.j2", "base.html.j2", "parts.txt.j2", "parts.html.j2")

#: What a template that is wrong may raise, beside Jinja's own errors.
_MISTAKES = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,
    UnknownLocaleError,
)
#: CLDR's "en" is American: March 1, 2027.
_LOCALES = {"en": "en_GB"}


@dataclass(frozen=True, slots=True)
class Written:
    """A letter in words."""

    language: str
    subject: str
    text: str
    html: str


def moment(when: datetime, language: str, zone: ZoneInfo) -> str:
    """A moment as people read it, and never without saying whose clock it is: "1 March 2027, 14:30 (UTC)"."""
    local = when.astimezone(zone)
    day = format_date(local.date(), "long", locale=_locale(language))
    if language == "fr" and local.day == 1:
        day = day.replace("1", "1er", 1)  # CLDR leaves out the ordinal that French asks for
    offset = local.isoformat()[-6:]
    comma = "،" if language.split("_")[0] == "ar" else ","
    return f"{day}{comma} {local:%H:%M} (UTC{'' if offset == '+00:00' else offset})"


def _locale(language: str) -> Locale:
    return Locale.parse(_LOCALES.get(language, language))


def _templates(folders: Sequence[Path], *, escape: bool) -> Environment:
    """Templates that escape all they are given, or nothing.

    Not by the file's name: a macro of words.j2, called from HTML, would be taken for HTML with its values unescaped.
    """
    ours = PrefixLoader({"ours": FileSystemLoader(OURS)})
    return Environment(
        loader=ChoiceLoader([*map(FileSystemLoader, folders), ours]),
        autoescape=escape,  # noqa: S701  False for plain text only
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Letters:
    """Writes letters. Making it reads no template yet.

    ``folder`` is the operator's: a file there wins over ours, and can build on it by the name ``ours/…``. ``site`` is
    Totara's address, ``sender`` the name below the letters, ``replies`` whether an answer reaches somebody.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        site: str,
        sender: str,
        language: str = "en",
        timezone: str = "UTC",
        replies: bool = False,
    ) -> None:
        self._folders = [folder, OURS] if folder else [OURS]
        self._default = language
        self._zone = ZoneInfo(timezone)
        self._always = {"site_url": site, "sender": sender, "replies": replies}
        self._text = _templates(self._folders, escape=False)
        self._html = _templates(self._folders, escape=True)

    @property
    def languages(self) -> list[str]:
        """The languages that letters can be written in: those with all of their templates."""
        return [language for language, missing in self._found().items() if not missing]

    def _found(self) -> dict[str, list[str]]:
        """Each language that there is a template of, and what it lacks."""
        there = {path.relative_to(folder) for folder in self._folders for path in folder.glob("[!_]*/*.j2")}
        return {
            language: [name for name in OF_A_LANGUAGE if Path(language, name) not in there]
            for language in sorted({path.parts[0] for path in there})
        }

    def write(self, message: Message) -> Written:
        """Put a letter into words. Raises Refused when a template can't be filled in."""
        there = self.languages
        language = choose_language(message.language, there, self._default if self._default in there else "en")
        try:
            return self._write(message, language)
        except _MISTAKES as err:
            # Without the error's own words: they may quote what was to be filled in.
            raise Refused(
                f"the template of the letter {message.kind} ({language}) fails: {type(err).__name__}"
            ) from None

    def _write(self, message: Message, language: str) -> Written:
        values = self._values(message, language)
        subject, _, text = _fill(self._text, f"{language}/{message.kind}.txt.j2", values).partition("\n")
        subject, text = one_line(subject), re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
        html = _fill(self._html, f"{language}/{message.kind}.html.j2", {**values, "subject": subject})
        return Written(language, subject, text, html.strip() + "\n")

    def _values(self, message: Message, language: str) -> dict[str, object]:
        """What templates may name."""
        courses = [
            {
                "name": one_line(course.name),
                "url": course.url,
                "until": moment(course.until, language, self._zone) if course.until else "",
                "sold_as": one_line(course.sold_as),
            }
            for course in message.courses
        ]
        return {
            **self._always,
            "kind": message.kind.value,
            "language": language,
            "direction": "rtl" if _locale(language).text_direction == "rtl" else "ltr",
            "name": greeting_name(message.name),
            "courses": courses,
            "reason": message.reason.value if message.reason else "",
            "order_numbers": [one_line(number) for number in message.order_numbers],
            "start_url": message.start_url,
            "team": greeting_name(message.team),
            "of_team": message.of_team,
            "answer_until": moment(message.answer_until, language, self._zone) if message.answer_until else "",
        }

    def problems(self) -> Iterator[str]:
        """Write every sample in every language; yields what goes wrong, in words."""
        if self._default not in self.languages:
            yield f"there are not all templates in the language {self._default}"
        for language, missing in self._found().items():
            yield from (f"{language}/{name} is missing: the language is not used" for name in missing)
            if missing:
                continue
            for kind in Letter:
                yield from dict.fromkeys(
                    f"{language}/{kind}: {problem}"
                    for message in samples(kind)
                    for problem in self._problems_of(message, language)
                )

    def _problems_of(self, message: Message, language: str) -> Iterator[str]:
        try:
            written = self._write(message, language)
        except _MISTAKES as err:
            yield f"{type(err).__name__}: {err}"
            return
        if not written.subject:
            yield "the text's first line is the subject, and it is empty"
        if not written.text.strip():
            yield "the text is empty"
        if UNESCAPED in written.html:
            yield "something gets into the HTML without being escaped"
        for course in message.courses:
            if one_line(course.name) not in written.text:
                yield "the text does not name every course"


def _fill(templates: Environment, name: str, values: Mapping[str, object]) -> str:
    return templates.get_template(name).render(values)


def check_templates(folder: Path | None, *, language: str = "en") -> list[str]:
    """Try all templates with made-up values, each side of each choice; returns every problem, [] when all is well."""
    if folder is not None and not folder.is_dir():
        return ["mail.templates names no folder"]
    problems = [] if folder is None else list(_misplaced(folder))
    for replies in (True, False):
        sender = f"Sample {UNESCAPED} Academy"
        letters = Letters(folder, site="https://learn.example.org", sender=sender, language=language, replies=replies)
        problems += letters.problems()
    return list(dict.fromkeys(problems))


def _misplaced(folder: Path) -> Iterator[str]:
    """Templates whose names nobody asks for: a typing error would else leave ours in force without a word."""
    for path in sorted(folder.rglob("*.j2")):
        place = path.relative_to(folder)
        known = {1: OF_ALL, 2: OF_A_LANGUAGE}.get(len(place.parts), ())
        if path.name not in known and not any(part.startswith("_") for part in place.parts):
            yield f"{place.as_posix()} replaces no template; a part of your own must begin with _"
