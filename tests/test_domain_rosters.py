"""Lists of people by which seats are given: typed, pasted, and as spreadsheets save them."""

from __future__ import annotations

import time
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.identity import is_email, normal_email
from bridge.domain.roster_cells import is_formula, neutral, original
from bridge.domain.rosters import (
    MOST_BYTES,
    MOST_ROWS,
    Doubt,
    Problem,
    Roster,
    Row,
    Unreadable,
    Why,
    read_file,
    read_typed,
    row_of,
)
from bridge.rosters_out import as_csv
from bridge.web.words import LANGUAGES, words_for

ADA = Row(1, "ada@corp.example", "Ada", "Lovelace")
BOB = Row(2, "bob@corp.example")


def people(roster: Roster) -> list[tuple[str, str, str]]:
    assert roster.wrong == []
    return [(row.email, row.first_name, row.last_name) for row in roster.rows]


def problem(**cells: str) -> Problem | None:
    return row_of(1, **({"address": "ada@corp.example"} | cells)).problem


# --- one row ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "ada@corp.example", " Ada@CORP.example ", "ADA@corp.example.", "<ada@corp.example>", "'ada@corp.example'",
        "\u202aada@corp.example\u202c", "\ufeffada@corp.example\u200b", "\u00a0ada@corp.example\u00a0",
        "mailto:ada@corp.example", "“ada@corp.example”", '"<ada@corp.example>"',
    ],
)  # fmt: skip
def test_what_comes_along_with_an_address_that_is_copied_goes(typed: str) -> None:
    assert row_of(1, typed) == Row(1, "ada@corp.example")


@pytest.mark.parametrize(
    ("typed", "email"),
    [
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example"),
        ("ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example"),
        ("ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
        ("ada@mu\u0308nchen.example", "ada@xn--mnchen-3ya.example"),
        ("ada@مثال.example", "ada@xn--mgbh0fb.example"),
        ("Ünal@corp.example", "ünal@corp.example"),
        ("u\u0308nal@corp.example", "ünal@corp.example"),
        ("+ada@corp.example", "+ada@corp.example"),
        ("o'brien@corp.example", "o'brien@corp.example"),
    ],
)
def test_an_address_has_one_form_in_every_alphabet(typed: str, email: str) -> None:
    assert row_of(1, typed) == Row(1, email)


@pytest.mark.parametrize(
    ("typed", "wrong", "shown"),
    [
        ("", Problem.NO_ADDRESS, ""),
        (" \u200b\t", Problem.NO_ADDRESS, ""),
        ("ada", Problem.NOT_AN_ADDRESS, "ada"),
        ("ada@corp", Problem.NOT_AN_ADDRESS, "ada@corp"),
        ("ada@corp.example bob@corp.example", Problem.NOT_AN_ADDRESS, "ada@corp.example bob@corp.example"),
        ("ada@@corp.example", Problem.NOT_AN_ADDRESS, "ada@@corp.example"),
        ("a\u202eda@corp.example", Problem.NOT_AN_ADDRESS, "a\ufffdda@corp.example"),
        ("a\u200cda@corp.example", Problem.NOT_AN_ADDRESS, "a\u200cda@corp.example"),
        ("a\u0000da@corp.example", Problem.NOT_AN_ADDRESS, "a\ufffdda@corp.example"),
        ("ada@-.münchen..example", Problem.NOT_AN_ADDRESS, "ada@-.münchen..example"),
        ("ada@" + "c" * 96 + ".example", Problem.TOO_LONG, "ada@" + "c" * 95 + "…"),
        ("x" * 101, Problem.NOT_AN_ADDRESS, "x" * 99 + "…"),
    ],
)
def test_what_is_no_address_is_shown_harmlessly_and_told(typed: str, wrong: Problem, shown: str) -> None:
    assert row_of(1, typed) == Row(1, shown, problem=wrong)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  Ada \t Maria\n", "Ada Maria"),
        ("Ada\u00a0Maria\u200b", "Ada Maria"),
        ("-Ada", "Ada"), ("- Ada", "Ada"), ("-", ""), ("--", ""), (" -", ""), (" \t", ""), ("\r", ""),
        ("Jean-Luc", "Jean-Luc"), ("O'Brien", "O'Brien"), ("'t Hooft", "'t Hooft"), ("D’Arc", "D’Arc"),
        ("Zoe\u0308", "Zoë"), ("李 小龍", "李 小龍"), ("علي", "علي"), ("\u200fعلي\u200f", "علي"),
        ("علی\u200cرضا", "علی\u200cرضا"), ("x" * 100, "x" * 100), ("Ada=1", "Ada=1"), ("Ada + Bob", "Ada + Bob"),
    ],
)  # fmt: skip
def test_names_are_kept_as_they_are_written_with_space_folded(typed: str, name: str) -> None:
    assert row_of(1, "ada@corp.example", typed, typed) == Row(1, "ada@corp.example", name, name)


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("=1+1", Problem.FORMULA), ("+1", Problem.FORMULA), ("@SUM(A1)", Problem.FORMULA), ("\tAda", Problem.FORMULA),
        ("\rAda", Problem.FORMULA), (" =1", Problem.FORMULA), ("-=1", Problem.FORMULA), ("- +1", Problem.FORMULA),
        ("'=1", Problem.FORMULA), ("\u200b=1", Problem.FORMULA), ("＝1", Problem.FORMULA), ("＠x", Problem.FORMULA),
        ("A\u202eda", Problem.NAME_SIGNS), ("A\u2066da", Problem.NAME_SIGNS), ("A\x00da", Problem.NAME_SIGNS),
        ("A\x1bda", Problem.NAME_SIGNS), ("A\x1cda", Problem.NAME_SIGNS), ("A\ufffdda", Problem.NAME_SIGNS),
        ("A\ud800da", Problem.NAME_SIGNS), ("A\ue000da", Problem.NAME_SIGNS), ("A\U000e0041da", Problem.NAME_SIGNS),
        ("x" * 101, Problem.NAME_TOO_LONG),
    ],
)  # fmt: skip
def test_names_that_could_do_harm_are_refused(typed: str, wrong: Problem) -> None:
    assert problem(first_name=typed) is wrong
    assert problem(last_name=typed) is wrong


@settings(deadline=None)  # the machine may be busy
@given(st.text(), st.text())
def test_whatever_stands_there_a_row_can_be_shown(address: str, name: str) -> None:
    row = row_of(1, address, name, name)
    for text in (row.email, row.first_name, row.last_name):
        assert len(text) <= 100
        assert text.replace("\u200c", "").replace("\u200d", "").isprintable()
    if not row.problem:
        assert is_email(row.email)
        assert row.email == normal_email(row.email)
        assert row.first_name == unicodedata.normalize("NFC", row.first_name)
        assert not row.first_name.startswith(("=", "+", "-", "@"))


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_row_that_was_read_is_read_the_same_again(address: str, name: str) -> None:
    row = row_of(1, address, name)
    if not row.problem:
        assert row_of(1, row.email, row.first_name) == row


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("fr", "fr"), ("FR", "fr"), ("fr-CA", "fr_ca"), ("fr_CA", "fr_ca"), ("Français", "fr"), ("Arabic", "ar"),
        ("العربية", "ar"), ("Español", "es"), ("ENGLISH", "en"), ("", ""), ("?", ""), ("Klingon", ""), ("=fr", ""),
    ],
)  # fmt: skip
def test_a_language_is_a_code_or_nothing(typed: str, code: str) -> None:
    assert row_of(1, "ada@corp.example", language=typed) == Row(1, "ada@corp.example", language=code)


# --- typed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ada@corp.example\nbob@corp.example", "ada@corp.example\r\n\r\n bob@corp.example \r\n",
        "ada@corp.example\rbob@corp.example", "ada@corp.example, bob@corp.example",
        "ada@corp.example;bob@corp.example;",
        "ada@corp.example bob@corp.example", "ada@corp.example\tbob@corp.example",
        "<ada@corp.example>,<bob@corp.example>",
        "ada@corp.example,\nbob@corp.example,\n",
        "ADA@corp.example;;, \n , bob@corp.example.",
        "ada@corp.example <ada@corp.example>; 'bob@corp.example' <bob@corp.example>",
    ],
)  # fmt: skip
def test_addresses_are_typed_in_any_way(text: str) -> None:
    assert read_typed(text).rows == (Row(1, "ada@corp.example"), BOB)


@pytest.mark.parametrize(
    "line",
    [
        "Ada Lovelace <ada@corp.example>", '"Ada Lovelace" <ada@corp.example>', "Lovelace, Ada <ada@corp.example>",
        '"Lovelace, Ada" <Ada@corp.example>', "Ada Lovelace ada@corp.example", "ada@corp.example Ada Lovelace",
        "Ada\tLovelace\tada@corp.example", "Ada;Lovelace;ada@corp.example", "Ada,Lovelace,ada@corp.example",
        "ada@corp.example, Ada, Lovelace", "Ada Lovelace;ada@corp.example", '"Lovelace, Ada";ada@corp.example',
        "ada@corp.example\tAda Lovelace", '"Lovelace, Ada",ada@corp.example', "1;Ada;Lovelace;ada@corp.example",
        "Ada;Lovelace;ada@corp.example;+1 555 0100",
    ],
)  # fmt: skip
def test_names_come_with_an_address_in_any_way(line: str) -> None:
    assert read_typed(line).rows == (ADA,)
    assert read_typed(f"{line}\nbob@corp.example").rows == (ADA, BOB)
    assert read_typed(f"bob@corp.example\n{line}").good[1].last_name == "Lovelace"


@pytest.mark.parametrize(
    "text",
    [
        "Lovelace, Ada <ada@corp.example>; Turing, Alan <alan@corp.example>",
        "Ada Lovelace <ada@corp.example>, Alan Turing <alan@corp.example>",
        '"Lovelace, Ada" <ada@corp.example>, "Turing, Alan" <alan@corp.example>',
        "Ada Lovelace ada@corp.example, Alan Turing alan@corp.example",
        "Ada\tLovelace\tada@corp.example\nAlan\tTuring\talan@corp.example",
        "Lovelace,Ada <ada@corp.example>\nAlan,Turing,alan@corp.example",
    ],
)
def test_names_of_several_people(text: str) -> None:
    assert people(read_typed(text)) == [
        ("ada@corp.example", "Ada", "Lovelace"),
        ("alan@corp.example", "Alan", "Turing"),
    ]


def test_cells_pasted_with_their_header_are_read_by_it() -> None:
    pasted = "Nom\tPrénom\tCourriel\tLangue\nLovelace\tAda\tada@corp.example\tfr\n\t\tbob@corp.example\t\n"
    assert read_typed(pasted).rows == (
        Row(2, "ada@corp.example", "Ada", "Lovelace", "fr"), Row(3, "bob@corp.example"),
    )  # fmt: skip
    assert read_typed("E-mail\nada@corp.example").rows == (Row(2, "ada@corp.example"),)


def test_what_is_no_address_is_told_and_keeps_its_place() -> None:
    roster = read_typed("ada@corp.example, bob.corp.example, carl@corp, ada@corp.example, dan@corp.example")
    assert roster.rows == (
        Row(1, "ada@corp.example"),
        Row(2, "bob.corp.example", problem=Problem.NOT_AN_ADDRESS),
        Row(3, "carl@corp", problem=Problem.NOT_AN_ADDRESS),
        Row(4, "ada@corp.example", problem=Problem.TWICE, first=1),
        Row(5, "dan@corp.example"),
    )
    assert [row.number for row in roster.good] == [1, 5]
    assert read_typed("ada and bob").rows == (Row(1, "ada and bob", problem=Problem.NOT_AN_ADDRESS),)
    assert read_typed("ada.corp.example, bob@corp.example").wrong[0].email == "ada.corp.example"


def test_a_row_that_is_refused_takes_no_address_from_a_good_one() -> None:
    roster = read_typed("=1\tx\tada@corp.example\nAda\tLovelace\tADA@corp.example")
    assert [row.problem for row in roster.rows] == [Problem.FORMULA, None]


def test_a_line_may_be_as_long_as_a_list() -> None:
    long = ", ".join(f"p{number}@corp.example" for number in range(MOST_ROWS))
    assert len(read_typed(long).good) == MOST_ROWS
    assert len(read_file(long.encode()).good) == MOST_ROWS
    assert [row.problem for row in read_typed("x" * 200_000 + ",ada@corp.example").rows] == [
        Problem.NOT_AN_ADDRESS, None,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " \n\t\n", ",;,"])
def test_nothing_typed_is_an_empty_list(text: str) -> None:
    assert read_typed(text) == Roster(())


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet=st.sampled_from(list("ab@.,;<>\"' \t\n\r=-\u202e\u0000é")), max_size=60))
def test_whatever_is_typed_each_address_is_found_once(text: str) -> None:
    rows = read_typed(text).rows
    assert len({row.number for row in rows}) == len(rows)
    assert len({row.email for row in rows if not row.problem}) == sum(not row.problem for row in rows)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.emails().filter(is_email), unique_by=normal_email), st.sampled_from(["\n", ", ", ";", " ", "\r\n"]))
def test_plain_addresses_are_all_found_in_order(emails: list[str], between: str) -> None:
    assert [row.email for row in read_typed(between.join(emails)).rows] == [normal_email(email) for email in emails]


# --- files -----------------------------------------------------------------------------------------------------------

TABLE = "Prénom;Nom;E-mail\r\nAmélie;Œuvrard;amelie@corp.example\r\n"
AMELIE = (Row(2, "amelie@corp.example", "Amélie", "Œuvrard"),)
ARABIC = "الاسم الأول,اسم العائلة,البريد الإلكتروني\r\nعلي,الخوارزمي,ali@corp.example\r\n"
ALI = (Row(2, "ali@corp.example", "علي", "الخوارزمي"),)


@pytest.mark.parametrize(
    ("text", "rows", "encoding"),
    [
        (text, rows, encoding)
        for text, rows, windows in [(TABLE, AMELIE, "cp1252"), (ARABIC, ALI, "cp1256")]
        for encoding in ["utf-8", "utf-8-sig", windows]
    ],
)
def test_a_file_is_read_in_the_alphabets_of_spreadsheets(text: str, rows: tuple[Row, ...], encoding: str) -> None:
    assert read_file(text.encode(encoding)).rows == rows


@pytest.mark.parametrize("bom", ["utf-16-le", "utf-16-be"])
def test_unicode_text_of_a_spreadsheet_is_read(bom: str) -> None:
    assert read_file(("\ufeff" + TABLE.replace(";", "\t")).encode(bom)).rows == AMELIE


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("sep", [False, True])
def test_delimiters_and_ends_of_lines(delimiter: str, end: str, sep: bool) -> None:
    rows = [f"sep={delimiter}"] * sep + [
        "first,last,email",
        '"Ada, ""Countess""\n",Love;lace,ada@corp.example',
        "",
        ",,bob@corp.example",
    ]
    text = end.join(rows).replace(",", delimiter).replace(f"Ada{delimiter}", "Ada,")
    if delimiter == ";":
        text = text.replace("Love;lace", '"Love;lace"')
    assert read_file(text.encode()).rows == (
        Row(2, "ada@corp.example", 'Ada, "Countess"', "Love;lace"), Row(4, "bob@corp.example"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("email,first name,last name,language", "efla"), ("E-MAIL,GIVEN_NAME,Surname,LANG", "efla"),
        ("lastname,firstname,lang,email", "lfae"), ("Nom,Prénom,Adresse e-mail,Langue", "lfea"),
        ("Apellidos,Nombre,Correo electrónico,Idioma", "lfea"), ("Name,Vorname,E-Mail-Adresse,Sprache", "lfea"),
        ("ID,First Name,Work Email,Family name", "xfel"), ("Name,Last name,Mail", "fle"),
        ("Address,Email,First,Last", "xefl"),
        ("اللقب,الاسم,اللغة,البريد الإلكتروني", "lfae"), (" * Email *,name", "en"), ("Nom,Courriel", "ne"),
        ("الاسم الكامل,البريد", "ne"), ("First name,Last name,contact", "flx"), ("nombre,correo,apellido", "fel"),
    ],
)  # fmt: skip
def test_columns_are_found_by_their_names_in_any_order(header: str, order: str) -> None:
    cells = {"e": "ada@corp.example", "f": "Ada", "l": "King", "a": "fr", "n": "Ada King", "x": "7"}
    if "e" not in order:
        order = order.replace("x", "e")
    (row,) = read_file(f"{header}\n{','.join(cells[one] for one in order)}\n".encode()).rows
    assert row == Row(
        2, "ada@corp.example", "Ada", "King" if set("ln") & set(order) else "", "fr" if "a" in order else ""
    )


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("ada@corp.example", Row(1, "ada@corp.example")),
        ("7,ada@corp.example,Ada,King,fr", Row(1, "ada@corp.example", "Ada", "King", "fr")),
        ("Ada;King;ada@corp.example;2026-01-31", Row(1, "ada@corp.example", "Ada", "King")),
        ('"King, Ada";ada@corp.example', Row(1, "ada@corp.example", "Ada", "King")),
        ("7;Ada King <ada@corp.example>;fr", Row(1, "ada@corp.example", "Ada", "King", "fr")),
        ("King, Ada <ada@corp.example>", Row(1, "ada@corp.example", "Ada", "King")),
        ("Ada King <ada@corp.example>", Row(1, "ada@corp.example", "Ada", "King")),
        ("Ada King\tada@corp.example\tFrançais", Row(1, "ada@corp.example", "Ada", "King", "fr")),
    ],
)
def test_without_a_header_the_addresses_tell_where_they_are(line: str, row: Row) -> None:
    assert read_file(line.encode()).rows == (row,)


@pytest.mark.parametrize(
    ("text", "emails"),
    [
        (
            "ada@corp.example, bob@corp.example\nc@corp.example",
            ["ada@corp.example", "bob@corp.example", "c@corp.example"],
        ),
        ("Ada <ada@corp.example>; Bob <bob@corp.example>", ["ada@corp.example", "bob@corp.example"]),
        ("sep=,\r\nada@corp.example,bob@corp.example", ["ada@corp.example", "bob@corp.example"]),
        ("email\nada@corp.example,bob@corp.example", ["ada@corp.example", "bob@corp.example"]),
        ("email,boss\nada@corp.example,bob@corp.example", ["ada@corp.example"]),
        (
            "email,second email\n,a@b.example\nada@corp.example,\nbob@corp.example,",
            ["ada@corp.example", "bob@corp.example"],
        ),
    ],
)
def test_several_addresses_in_a_line_are_several_people_unless_the_columns_have_names(
    text: str, emails: list[str]
) -> None:
    assert [row.email for row in read_file(text.encode()).good] == emails


def test_each_row_of_a_file_is_numbered_as_the_spreadsheet_does_and_says_what_is_wrong() -> None:
    text = 'email,first name\nada@corp.example,"A\nda"\n\n,Bob\nADA@corp.example,Ada\nada@corp,Ada\nc@corp.example,=1\n'
    assert read_file(text.encode()).rows == (
        Row(2, "ada@corp.example", "A da"),
        Row(4, "", "Bob", problem=Problem.NO_ADDRESS),
        Row(5, "ada@corp.example", "Ada", problem=Problem.TWICE, first=2),
        Row(6, "ada@corp", "Ada", problem=Problem.NOT_AN_ADDRESS),
        Row(7, "c@corp.example", "=1", problem=Problem.FORMULA),
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04\x14\x00", Why.WORKBOOK),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", Why.WORKBOOK),
        (b"\x89PNG\r\n\x1a\n\x00\x00", Why.NOT_TEXT),
        (b"ada@corp.example\x00", Why.NOT_TEXT),
        (b"\xff\xfea\x00b", Why.NOT_TEXT),
        ("Иван,ivan@corp.example".encode("cp1251"), Why.ENCODING),
        ("Αριστοτέλης,a@corp.example".encode("cp1253"), Why.ENCODING),
        ("Amélie,amelie@corp.example".encode("mac-roman"), Why.ENCODING),
        ("José Núñez,jose@corp.example".encode("mac-roman"), Why.ENCODING),
        (b'email,name\nada@corp.example,"Ada\nbob@corp.example,Bob\n', Why.QUOTES),
        (b"x" * (MOST_BYTES - 1), Why.NOT_TEXT),
        (b"x" * (MOST_BYTES + 1), Why.TOO_BIG),
        (b"a@corp.example\n" * (MOST_ROWS + 1), Why.TOO_MANY),
        (b"email\n" + b"a@corp.example\n" * (MOST_ROWS + 1), Why.TOO_MANY),
    ],
)
def test_what_can_not_be_read_as_a_whole_is_refused_in_words(data: bytes, why: Why) -> None:
    with pytest.raises(Unreadable) as caught:
        read_file(data)
    assert caught.value.why is why
    assert "corp.example" not in str(caught.value)
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1250", "Michał Nowak"), ("cp1250", "Wiesława Kamińska"), ("cp1250", "Jędrzej Świątek"),
        ("cp1250", "Jiří Dvořák"), ("cp1250", "Anna Čech"), ("cp1250", "Jan Němec"), ("cp1250", "Soňa Kůrka"),
        ("cp1250", "Ivan Tomić"), ("cp1250", "Marko Kovač"), ("cp1250", "Ľudmila Bošňáková"),
        ("cp1250", "Győri János"), ("cp1250", "Jenő Szabó"), ("cp1250", "Anna Hegedűs"), ("cp1250", "Ion Bănescu"),
        ("cp1254", "Ayşe Demir"), ("cp1254", "Ali Doğan"), ("cp1254", "Can Yıldız"), ("cp1254", "İnci Ay"),
        ("cp1257", "Živilė Kačinskaitė"), ("cp1257", "Ona Kazlauskienė"), ("cp1257", "Pēteris Ozols"),
        ("cp1257", "Šarūnas Ilgauskas"), ("cp1257", "Anna Liepiņa"), ("cp1257", "Nadežda Põld"),
    ],
)  # fmt: skip
def test_names_of_central_europe_turkey_and_the_baltic_are_not_taken_for_western_ones(encoding: str, name: str) -> None:
    """They would be written wrongly onto certificates."""
    with pytest.raises(Unreadable) as caught:
        read_file(f"Name,E-mail\n{name},a@corp.example\n".encode(encoding))
    assert caught.value.why is Why.ENCODING


@pytest.mark.parametrize(
    "name",
    [
        "Geneviève Bègue", "Agnès Lœtitia", "Loïc Œuvrard", "Raphaël Brûlé", "Inès Forêt", "Jérôme Kœnig", "Chloë Noël",
        "João Conceição", "Inês Camões", "Eugênio Guimarães", "Mª José Núñez", "Íñigo Peña", "Òscar Niccolò",
        "Giosuè Gesù", "Mercè Verònica", "Jörg Weiß", "Søren Bødker", "Øystein Bøe", "Åsa Söderström",
        "Guðrún Þórsdóttir", "Jón Sigurðsson", "Tõnu Kõiv", "Jüri Põld", "Tomáš Novotný", "Zoë Ó Súilleabháin",
        "Çelik Güçlü", "Seán D’Arcy", "Nº 1 Ana", "“Bob” Müller",
    ],
)  # fmt: skip
def test_western_names_are_read_and_shown_for_a_look_at_their_letters(name: str) -> None:
    roster = read_file(f"Full name,E-mail\n{name},a@corp.example\n".encode("cp1252"))
    (row,) = roster.rows
    assert f"{row.first_name} {row.last_name}".strip() == name
    assert roster.doubts == {Doubt.LETTERS: name}


def test_letters_are_in_no_doubt_where_the_file_says_what_they_are() -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert not read_file("Full name,E-mail\nJiří Dvořák,a@corp.example\n".encode(encoding)).doubts
    assert not read_file("Name;Straße;E-mail\nAda;Höhe;a@corp.example\n".encode("cp1252")).doubts, "no name of anybody"


@pytest.mark.parametrize(
    ("header", "taken", "doubt"),
    [
        ("Name,Manager Email,Email,Other", 2, ""),
        ("Supervisor e-mail,E-mail,First name,Last name", 1, ""),
        ("Email of manager,Work email,Private email,Name", 1, "Work email"),
        ("Manager email,Name,Contact,Nothing", 0, "Manager email"),
        ("Boss,Name,Who,Where", 0, "Boss"),
        ("Email,E-mail,Name,Where", 0, "Email"),
        ("Address,Email,Name,Where", 0, "Address"),
        ("Who,Name,Where,When", 0, "Who"),
    ],
)
def test_whoever_manages_the_people_of_a_list_is_not_taken_for_them(header: str, taken: int, doubt: str) -> None:
    """An exact name of a column comes before one that has more in it; and what is doubtful is told."""
    cells = [f"p{n}@corp.example" for n in range(4)]
    roster = read_file(f"{header}\n{','.join(cells)}\n{','.join(cells)}\n".encode())
    assert {row.email for row in roster.rows} == {f"p{taken}@corp.example"}
    assert roster.doubts == ({Doubt.COLUMN: doubt} if doubt else {})


def test_a_column_that_is_called_nearly_so_is_told_although_it_is_the_only_one() -> None:
    assert read_file(b"Name,Manager email\nAda,max@corp.example\n").doubts == {Doubt.COLUMN: "Manager email"}
    assert read_file(b"Name,Address,Email\nAda,Harbour 1,ada@corp.example\n").doubts == {}
    assert read_typed("Name\tManager email\nAda\tmax@corp.example").doubts == {Doubt.COLUMN: "Manager email"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_that_a_team_took_along_can_be_uploaded_as_it_is(language: str) -> None:
    words = words_for(language)
    named = ("seat", "product", "name_of", "address", "language", "status")
    cells = ("Seat 7", "Origin, 10 seats", "Ada Lovelace", "ada@corp.example", "fr", "Open")
    read = read_file(as_csv([words[f"team_{one}"] for one in named], [cells]))
    assert ([row.email for row in read.rows], read.doubts) == (["ada@corp.example"], {})
    assert (read.rows[0].first_name, read.rows[0].last_name, read.rows[0].language) == ("Ada", "Lovelace", "fr")


def test_pasted_cells_have_the_managers_beside_the_people_and_invite_the_people() -> None:
    rows = "Ada\tmax@corp.example\tada@corp.example\nBo\tmia@corp.example\tbo@corp.example"
    read = read_typed(f"Name\tManager email\tEmail\n{rows}")
    assert ([row.email for row in read.rows], read.doubts) == (["ada@corp.example", "bo@corp.example"], {})
    assert read_typed(f"Name\tManager email\tWork email\n{rows}").doubts == {Doubt.COLUMN: "Work email"}


def test_pasted_cells_with_a_line_break_in_them_stay_one_cell() -> None:
    text = 'Name\tEmail\nAda\tada@corp.example\n"Bo\nByte"\tbo@corp.example\n'
    assert read_typed(text).rows == (Row(2, "ada@corp.example", "Ada"), Row(3, "bo@corp.example", "Bo", "Byte"))
    lost = 'ada@corp.example, "Ada\nbo@corp.example, "Bo'
    assert [row.email for row in read_typed(lost).good] == ["ada@corp.example", "bo@corp.example"]


def test_a_lost_quotation_mark_is_told_with_its_line() -> None:
    with pytest.raises(Unreadable, match="line 3: its quotation marks"):
        read_file(b'email,name\nada@corp.example,Ada\nbob@corp.example,"Bob" Hope\n')


def test_a_quotation_mark_that_is_never_closed_is_told_with_the_line_that_it_stands_in() -> None:
    with pytest.raises(Unreadable, match="line 2: its quotation marks"):
        read_file(b'email,name\nada@corp.example,"Ada\nbob@corp.example,Bob\neve@corp.example,Eve\n')


def test_too_much_is_refused_when_typed_too() -> None:
    for text, why in [("a@b.example\n" * (MOST_ROWS + 1), Why.TOO_MANY), ("é" * (MOST_BYTES // 2 + 1), Why.TOO_BIG)]:
        with pytest.raises(Unreadable) as caught:
            read_typed(text)
        assert caught.value.why is why


def test_as_many_as_may_be_are_read_with_and_without_header() -> None:
    lines = [f"p{number}@corp.example" for number in range(MOST_ROWS)]
    for read in (read_typed("\n".join(lines)), read_file("\n".join(["email", *lines]).encode())):
        assert len(read.good) == MOST_ROWS


@pytest.mark.parametrize("names", ["Ada,Lovelace", "Amélie,Œuvrard-Þórsdóttir", "علي,الخوارزمي"])
def test_five_thousand_rows_are_read_well_within_a_second(names: str) -> None:
    lines = "".join(f"{names},p{number}@münchen.example,fr\n" for number in range(MOST_ROWS))
    begin = time.process_time()
    assert len(read_file(lines.encode()).good) == len(read_typed(lines).good) == MOST_ROWS
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    "sign", ["<", ">", "@", '"', ",", ";", "\t", "a@", "<@", "a ", ".", "' ", "\r", "=", "é", "\u202e"]
)
def test_no_text_takes_time_beyond_its_length(sign: str) -> None:
    text = sign * (200_000 // len(sign))
    begin = time.process_time()
    with suppress(Unreadable):
        read_typed(text)
    with suppress(Unreadable):
        read_file(text.encode())
    assert time.process_time() - begin < 15


# --- out and in again ------------------------------------------------------------------------------------------------

ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.text(
    st.sampled_from(list("=+-@\t\r\n',;\"a ")), max_size=5
)


@settings(deadline=None)  # the machine may be busy
@given(ANY)
def test_no_text_is_computed_and_each_comes_back(text: str) -> None:
    assert not neutral(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert original(neutral(text)) == text
    assert not is_formula(text) or neutral(text) == f"'{text}"


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(
        st.tuples(
            st.emails().filter(is_email) | ANY.filter(lambda text: "<" not in text),
            ANY,
            ANY,
            st.sampled_from(["", "fr", "pt_br"]),
        )
    )
)
def test_what_was_written_as_csv_is_read_back(table: list[tuple[str, str, str, str]]) -> None:
    written = as_csv(["Email", "First name", "Last name", "Language"], table)
    expected = [row_of(number, *cells) for number, cells in enumerate(table, 2) if "".join(cells).strip()]
    rows = read_file(written).rows
    assert [(row.number, row.email, row.first_name, row.last_name, row.language) for row in rows] == [
        (row.number, row.email, row.first_name, row.last_name, row.language) for row in expected
    ]
    assert [row.problem for row in rows if row.problem is not Problem.TWICE] == [
        one.problem for row, one in zip(rows, expected, strict=True) if row.problem is not Problem.TWICE
    ]
