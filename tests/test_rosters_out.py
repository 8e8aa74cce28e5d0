"""Tables that are taken along: what is in their bytes."""

from __future__ import annotations

import io
import re
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.rosters_out import Cell, as_csv, as_xlsx

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "＝1"]


def sheet_of(book: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(zipfile.ZipFile(io.BytesIO(book)).read("xl/worksheets/sheet1.xml"))


def texts(book: bytes) -> list[list[str]]:
    """What the cells of each row say, with Excel's escapes of characters undone."""
    return [
        [
            re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), "".join(cell.itertext()))
            for cell in row.iter(f"{MAIN}c")
        ]
        for row in sheet_of(book).iter(f"{MAIN}row")
    ]


def test_a_csv_is_what_every_spreadsheet_reads() -> None:
    rows: list[list[Cell]] = [["ada@corp.example", 'Ada "Countess"', 3], ["علي", "a;b\r\nc", None]]
    assert (
        as_csv(["Email", "Name", "Seats"], rows)
        == (
            '\ufeff"Email","Name","Seats"\r\n"ada@corp.example","Ada ""Countess""","3"\r\n"علي","a;b\r\nc",""\r\n'
        ).encode()
    )


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_in_a_csv_is_computed_in_the_header_either(text: str) -> None:
    assert as_csv([text], [[text]]).decode("utf-8-sig") == f'"\'{text}"\r\n"\'{text}"\r\n'


def test_numbers_are_numbers() -> None:
    assert as_csv(["n"], [[-5]]).decode("utf-8-sig") == '"n"\r\n"-5"\r\n'
    (cell,) = [cell for cell in sheet_of(as_xlsx(["n"], [[-5]])).iter(f"{MAIN}c") if cell.get("r") == "A2"]
    assert (cell.get("t"), "".join(cell.itertext())) == (None, "-5")


@pytest.mark.parametrize("text", [*FORMULAS, "http://a.example", "mailto:a@b.example", "0123", "1e5", "{=1}", "TRUE"])
def test_every_text_in_a_workbook_stays_a_text(text: str) -> None:
    book = as_xlsx([text], [[text, None]])
    sheet = sheet_of(book)
    assert {cell.get("t") for cell in sheet.iter(f"{MAIN}c")} == {"inlineStr"}
    assert not {one.tag.removeprefix(MAIN) for one in sheet.iter()} & {"f", "hyperlinks"}
    assert [row[0].replace("\r", "\n") for row in texts(book)] == [text.replace("\r", "\n")] * 2


def test_a_text_that_would_be_a_formula_stays_a_text_when_it_is_edited() -> None:
    book = as_xlsx(["Name"], [["=1"], ["Ada"]])
    styles = [cell.get("s") for cell in sheet_of(book).iter(f"{MAIN}c")][1:]
    assert styles[0] is not None
    assert styles[1] is None
    marked = ElementTree.fromstring(zipfile.ZipFile(io.BytesIO(book)).read("xl/styles.xml"))
    formats = marked.find(f"{MAIN}cellXfs")
    assert formats is not None
    assert formats[int(styles[0])].get("quotePrefix") == "1"


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
def test_a_workbook_can_be_read_whatever_is_in_it(cells: list[str]) -> None:
    rows = texts(as_xlsx(["h"] * len(cells), [cells]))
    assert [len(row) for row in rows] == [len(cells)] * 2


@pytest.mark.parametrize(("text", "read"), [("a\ud800b", "a?b"), ("a\uffffb", "a?b"), ("x" * 40_000, "x" * 32_767)])
def test_what_a_workbook_can_not_hold_is_replaced_or_cut(text: str, read: str) -> None:
    assert texts(as_xlsx(["h"], [[text]]))[1] == [read]


def many() -> Iterator[list[str | int]]:
    for number in range(10_000):
        yield [f"person{number}@corp.example", "Ada", "Lovelace", "=1", number]


def test_ten_thousand_rows_pass_through_little_memory_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    as_xlsx(["a"], [["b"]])  # the modules' own memory
    tracemalloc.start()
    book = as_xlsx(["Email", "First name", "Last name", "Note", "Seats"], many())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(texts(book)) == 10_001
    assert most < 4 * 1024 * 1024
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_breaks_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[list[str]]:
        yield ["a"]
        raise RuntimeError("the database went away")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="went away"):
        as_xlsx(["h"], broken())
    assert list(tmp_path.iterdir()) == []
