"""The words of the pages: the same in every language, one for whatever pages tell, in the language asked for."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel import Locale

from bridge.domain.letters import Reason
from bridge.domain.rosters import Problem
from bridge.domain.rosters import Why as Unread
from bridge.domain.seats import SeatState, Why
from bridge.domain.teams import TeamRole
from bridge.invitations import Answer
from bridge.web.words import LANGUAGES, OURS, Words, words_for

BRIDGE = Path(__file__).parent.parent / "bridge"
FORM = re.compile(r"_(zero|one|two|few|many|other)$")


def counted(words: Words) -> set[str]:
    """What is counted has a key for any other number, and more for single ones."""
    return {key.removesuffix("_other") for key in words if key.endswith("_other")}


def stems(words: Words) -> set[str]:
    return {FORM.sub("", key) if FORM.sub("", key) in counted(words) else key for key in words}


def blanks(text: str) -> set[str]:
    """What is filled in. Raises ValueError for a brace that stands alone."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def events_in(source: str) -> Iterator[str]:
    """The events of a team that a module writes into the audit log: by a ``_note`` of its own, or naming the team."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    direct = [c for c in calls if ast.unparse(c.func) == "audit.note" and any(k.arg == "team_id" for k in c.keywords)]
    bases = {ast.unparse(base) for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for base in n.bases}
    noting = direct or bases & {"Office", "Giving"}  # which write down what their own do
    own = [call for call in calls if ast.unparse(call.func) == "self._note"] if noting else []
    told = [call.args[1] for call in direct] + [arg for call in own for arg in call.args]
    named = {node.id for node in told if isinstance(node, ast.Name)}
    told += [
        n.value for n in ast.walk(tree) if isinstance(n, ast.Assign) and named & {ast.unparse(t) for t in n.targets}
    ]
    for node in told:
        for part in (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
                yield part.value


@cache
def events() -> frozenset[str]:
    """All events of a team that the bridge writes down."""
    return frozenset(event for path in BRIDGE.rglob("*.py") for event in events_in(path.read_text(encoding="utf-8")))


def test_every_file_of_words_is_offered() -> None:
    assert sorted(path.stem for path in OURS.glob("*.toml")) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words_with_the_same_blanks(language: str) -> None:
    english, words = words_for("en"), words_for(language)
    assert words["language"] == language
    assert stems(words) == stems(english)
    assert all(text.strip() for text in words.values())
    for key, text in words.items():
        there = blanks(english[key] if key in english else english[FORM.sub("_other", key)])
        # One thing, or two, may be told without a figure.
        without = key.endswith(("_one", "_two")) and "n" in there
        assert blanks(text) in ((there, there - {"n"}) if without else (there,)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_counted_has_every_form_that_its_language_needs(language: str) -> None:
    words = words_for(language)
    needed = {Locale.parse(language).plural_form(number) for number in range(1, 5001)} | {"other"}
    assert counted(words) == counted(words_for("en"))
    for one in counted(words):
        assert [form for form in needed if f"{one}_{form}" not in words] == [], one


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_direction_is_the_language_s(language: str) -> None:
    assert words_for(language)["direction"] == ("rtl" if Locale.parse(language).text_direction == "rtl" else "ltr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_pages_tell_has_its_word(language: str) -> None:
    words = words_for(language)
    kinds = (("state", SeatState), ("why", Why), ("problem", Problem), ("list", Unread), ("role", TeamRole))
    wanted = {f"team_{name}_{one}" for name, kind in kinds for one in kind}
    wanted |= {f"team_role_{role}_text" for role in TeamRole}
    wanted |= {f"team_answer_{answer}{more}" for answer in Answer for more in ("", "_text")}
    wanted |= {f"team_event_{event.replace(' ', '_')}" for event in events()}
    wanted |= set(Reason)
    assert wanted - words.keys() == set()
    # What is not paid for any more is in no picture.
    assert counted(words) >= {f"team_legend_{state}" for state in SeatState if state is not SeatState.ENDED}


def test_what_is_filled_into_arabic_keeps_a_direction_of_its_own() -> None:
    for key, text in words_for("ar").items():
        for blank in blanks(text) & {"team", "when", "address"}:
            assert f"\N{FIRST STRONG ISOLATE}{{{blank}}}\N{POP DIRECTIONAL ISOLATE}" in text, key


def test_the_events_of_a_team_are_found_in_the_code() -> None:
    assert {"seat given", "member removed", "member changed", "invitation sent", "consent given"} <= events()
    assert {"signed in", "signed out"}.isdisjoint(events())


@pytest.mark.parametrize(
    ("language", "number", "told"),
    [
        ("en", 0, "0 seats"), ("en", 1, "1 seat"), ("en", 2, "2 seats"), ("fr", 0, "0 place"), ("fr", 2, "2 places"),
        ("es", 1, "1 plaza"), ("es", 1_000_000, "1000000 plazas"), ("ar", 1, "مقعد واحد"), ("ar", 2, "مقعدان"),
        ("ar", 3, "3 مقاعد"), ("ar", 11, "11 مقعدًا"), ("ar", 100, "100 مقعد"), ("ar", 105, "105 مقاعد"),
    ],
)  # fmt: skip
def test_seats_are_counted_as_each_language_does(language: str, number: int, told: str) -> None:
    assert words_for(language).counted("team_seats_count", number) == told


#: How many stand so, beside the picture of a pool; in English, French and Spanish these are told as one.
NUMBERS, AS_ONE = (0, 1, 2, 3, 11, 100), {"en": {1}, "fr": {0, 1}, "es": {1}}


@pytest.mark.parametrize(
    ("language", "state", "one", "other"),
    [
        ("en", "open", "open", "open"),
        ("en", "closed", "closed: last day to give it has passed", "closed: last day to give them has passed"),
        ("en", "approval", "waits for your yes", "wait for your yes"),
        ("fr", "open", "libre", "libres"),
        ("fr", "closed", "fermée\N{NO-BREAK SPACE}: le dernier jour pour l’attribuer est passé",
         "fermées\N{NO-BREAK SPACE}: le dernier jour pour les attribuer est passé"),
        ("fr", "invited", "invitation envoyée", "invitations envoyées"),
        ("fr", "lapsed", "expirée\N{NO-BREAK SPACE}: pas de réponse à temps",
         "expirées\N{NO-BREAK SPACE}: pas de réponse à temps"),
        ("fr", "approval", "attend votre accord", "attendent votre accord"),
        ("fr", "taken", "occupée", "occupées"),
        ("fr", "started", "cours commencé", "cours commencés"),
        ("fr", "completed", "cours terminé", "cours terminés"),
        ("fr", "held", "suspendue", "suspendues"),
        ("es", "open", "libre", "libres"),
        ("es", "closed", "cerrada: ha pasado el último día para asignarla",
         "cerradas: ha pasado el último día para asignarlas"),
        ("es", "invited", "invitación enviada", "invitaciones enviadas"),
        ("es", "lapsed", "caducada: sin respuesta a tiempo", "caducadas: sin respuesta a tiempo"),
        ("es", "approval", "espera su visto bueno", "esperan su visto bueno"),
        ("es", "taken", "ocupada", "ocupadas"),
        ("es", "started", "curso empezado", "cursos empezados"),
        ("es", "completed", "curso completado", "cursos completados"),
        ("es", "held", "en suspenso", "en suspenso"),
    ],
)  # fmt: skip
def test_what_stands_behind_a_number_agrees_with_it(language: str, state: str, one: str, other: str) -> None:
    told = [words_for(language).counted(f"team_legend_{state}", number) for number in NUMBERS]
    assert told == [one if number in AS_ONE[language] else other for number in NUMBERS]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("open", ["شاغر", "شاغر", "شاغران", "شاغرة", "شاغرًا", "شاغر"]),
        ("closed", ["مغلق: انقضى آخر يوم لمنحها", "مغلق: انقضى آخر يوم لمنحه", "مغلقان: انقضى آخر يوم لمنحهما",
                    "مغلقة: انقضى آخر يوم لمنحها", "مغلقًا: انقضى آخر يوم لمنحها", "مغلق: انقضى آخر يوم لمنحها"]),
        ("invited", ["دعوة مُرسلة", "دعوة مُرسلة", "دعوتان مُرسلتان", "دعوات مُرسلة", "دعوة مُرسلة", "دعوة مُرسلة"]),
        ("lapsed", ["انقضت مهلتها دون رد", "انقضت مهلته دون رد", "انقضت مهلتهما دون رد", *["انقضت مهلتها دون رد"] * 3]),
        ("approval", ["بانتظار موافقتك"] * 6),
        ("taken", ["مشغول", "مشغول", "مشغولان", "مشغولة", "مشغولًا", "مشغول"]),
        ("started", ["دورة بدأت", "دورة بدأت", "دورتان بدأتا", "دورات بدأت", "دورة بدأت", "دورة بدأت"]),
        ("completed", ["دورة اكتملت", "دورة اكتملت", "دورتان اكتملتا", "دورات اكتملت", "دورة اكتملت", "دورة اكتملت"]),
        ("held", ["معلّق", "معلّق", "معلّقان", "معلّقة", "معلّقًا", "معلّق"]),
    ],
)  # fmt: skip
def test_what_stands_behind_a_number_has_the_forms_of_arabic(state: str, told: list[str]) -> None:
    assert [words_for("ar").counted(f"team_legend_{state}", number) for number in NUMBERS] == told


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("fr", "fr"), ("fr_CA", "fr"), ("FR-be", "fr"), ("en-GB", "en"), ("es-MX", "es"), ("ar_EG", "ar"), ("de", "en"),
        ("", "en"),
    ],
)  # fmt: skip
def test_words_are_found_by_any_code_and_english_where_there_are_none(asked: str, got: str) -> None:
    assert words_for(asked)["language"] == got
