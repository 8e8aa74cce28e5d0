"""What the embedded mail server does: letters come by SMTP, and are read on pages that they can do nothing to."""

from __future__ import annotations

import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
import requests
from flask import request
from playwright.sync_api import Page, expect
from werkzeug.test import Client

from bridge.domain.letters import Letter, Message
from bridge.letters.render import Letters
from bridge.mail import Mailer, Post, Sender
from bridge.sandbox.mailbox import MOST_BYTES, Mailbox
from bridge.sandbox.server import Served
from bridge.sandbox.smtp import Smtp
from tests.browser import DESK

MIA, LINK = "mia@guest.test", "http://127.0.0.1:8080/sso/link/open#SeCrEt"
NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(kept=4, now=lambda: NOON)


@pytest.fixture
def pages(mailbox: Mailbox) -> Client:
    return Client(mailbox.app)


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[Smtp]:
    running = Smtp(mailbox, data_size_limit=MOST_BYTES)
    running.start()
    yield running
    running.stop()


def mail(text: str = "Hello", html: str = "", **headers: str) -> bytes:
    made = EmailMessage()
    made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html")
    for name, value in headers.items():
        made[name] = value
    return made.as_bytes()


def send(smtp: Smtp, to: str, language: str = "en") -> None:
    """A letter as the bridge sends it."""
    letters = Letters(site="https://learn.example.org", sender="Académie", replies=False)
    mailer = Mailer(letters, Post("127.0.0.1", smtp.port, security="none", timeout=5.0), Sender("learn@academy.test"))
    mailer.send(Message(Letter.LINK, to, "Mia", language, (), start_url=LINK), key="1")


# --- what comes ------------------------------------------------------------------------------------------------------


def test_a_letter_of_the_bridge_arrives_and_machines_can_read_it(mailbox: Mailbox, smtp: Smtp) -> None:
    send(smtp, MIA, "fr")
    with Served(mailbox.app) as served:
        (told,) = requests.get(f"{served.url}/letters", {"to": MIA}, timeout=5).json()
    text, html = told.pop("text"), told.pop("html")
    assert told == {
        "number": 1,
        "at": "2026-11-24T12:00:00+00:00",
        "sender": "learn@academy.test",
        "to": [MIA],
        "subject": "Votre lien de connexion",
    }
    assert (LINK in text.split("\n"), f'href="{LINK}"' in html, "Académie" in text) == (True, True, True)


def test_whom_it_was_delivered_to_counts_and_not_what_the_head_says(smtp: Smtp, mailbox: Mailbox) -> None:
    with smtplib.SMTP("127.0.0.1", smtp.port, timeout=5) as session:
        session.sendmail("a@shop.test", ["Bo@Guest.test", MIA], mail(To="everybody@list.test"))
    assert [one.to for one in mailbox.letters("bo@guest.TEST")] == [("Bo@Guest.test", MIA)]
    assert len(mailbox.letters(MIA)) == len(mailbox.letters()) == 1
    assert mailbox.letters("everybody@list.test") == []


def test_the_newest_are_kept_and_come_first(mailbox: Mailbox, pages: Client) -> None:
    for number in range(1, 7):
        mailbox.take(mail(Subject=f"No. {number}"), "a@shop.test", [MIA])
    assert [one["subject"] for one in pages.get("/letters").json or ()] == ["No. 6", "No. 5", "No. 4", "No. 3"]
    assert [pages.get(f"/letter/{number}").status_code for number in (2, 3, 6, 7)] == [404, 200, 200, 404]


def test_a_letter_that_is_too_large_is_refused_and_the_next_one_taken(mailbox: Mailbox, smtp: Smtp) -> None:
    with smtplib.SMTP("127.0.0.1", smtp.port, timeout=5) as session:
        with pytest.raises(smtplib.SMTPException) as refused:
            session.sendmail("a@shop.test", [MIA], mail("x" * 70 + "\n") + b"y\r\n" * (MOST_BYTES // 3))
        assert getattr(refused.value, "smtp_code", None) == 552
        session.rset()
        session.sendmail("a@shop.test", [MIA], mail(Subject="small"))
    assert [one.subject for one in mailbox.letters()] == ["small"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (b"Subject: x\r\n\r\nplain\r\nlines", "plain\nlines"),
        (b"Content-Type: text/plain; charset=no-such\r\n\r\nEnd: \xff", "End: \ufffd"),
        (b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9 \xff", "é \ufffd"),
        (b"Content-Type: application/pdf\r\n\r\n%PDF", ""),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnever begun", ""),
    ],
)
def test_whatever_comes_is_kept_and_shown(mailbox: Mailbox, pages: Client, content: bytes, text: str) -> None:
    mailbox.take(content, "", [MIA])
    (kept,) = mailbox.letters()
    assert (kept.text, kept.html) == (text, "")
    assert [pages.get(path).status_code for path in ("/", "/letter/1", "/letter/1/html")] == [200, 200, 200]


def test_it_listens_on_this_machine_only_and_is_gone_when_stopped(mailbox: Mailbox) -> None:
    before = threading.active_count()
    running = Smtp(mailbox)
    running.start()
    (listening,) = running.server.sockets  # type: ignore[union-attr]
    assert listening.getsockname() == ("127.0.0.1", running.port)
    with socket.create_connection(("127.0.0.1", running.port), 5) as caller:
        caller.recv(100)
        running.stop()
        assert caller.recv(100) == b"", "it hung up"
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), 5)
    again = Smtp(mailbox, running.port)
    again.start()
    again.stop()


def test_a_taken_port_is_an_error_at_once(mailbox: Mailbox, smtp: Smtp) -> None:
    with pytest.raises(OSError, match="in use"):
        Smtp(mailbox, smtp.port)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_inbox_shows_all_letters_or_those_to_one_address(mailbox: Mailbox, pages: Client) -> None:
    assert "No letters yet" in pages.get("/").text
    mailbox.take(mail(Subject="One & only"), "a@shop.test", [MIA])
    mailbox.take(mail(Subject="For Bo"), "a@shop.test", ["bo+x@guest.test"])
    page = pages.get("/").text
    assert page.index("For Bo") < page.index("One &amp; only")
    assert 'href="/?to=bo%2Bx@guest.test"' in page
    page = pages.get("/?to=bo%2Bx@guest.test").text
    assert ("For Bo" in page, "One &amp; only" in page) == (True, False)
    assert "No letters yet" in pages.get("/?to=nobody@guest.test").text


def test_a_letter_is_shown_with_its_text_and_its_links_can_be_followed(mailbox: Mailbox, pages: Client) -> None:
    mailbox.take(mail(f"Go:\n{LINK}\n<script>", "<p>Go", Subject="<b>Now</b>"), "a@shop.test", [MIA])
    page = pages.get("/letter/1").text
    assert f'<a href="{LINK}" rel="noopener noreferrer" target="_top">' in page
    assert "&lt;script&gt;" in page
    assert "<h1>&lt;b&gt;Now&lt;/b&gt;</h1>" in page
    assert 'src="/letter/1/html"' in page


def test_a_letter_without_html_has_no_frame(mailbox: Mailbox, pages: Client) -> None:
    mailbox.take(mail(), "a@shop.test", [MIA])
    assert "<iframe" not in pages.get("/letter/1").text


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ('<html><HEAD lang="x"><title>', '<html><HEAD lang="x"><base target="_top"><title>'),
        ("<header>Hi</header>", '<header>Hi</header><base target="_top">'),
    ],
)
def test_links_of_a_letter_lead_the_whole_window(mailbox: Mailbox, pages: Client, html: str, shown: str) -> None:
    mailbox.take(mail("Hi", html), "a@shop.test", [MIA])
    assert pages.get("/letter/1/html").text.strip().replace("\n", "") == shown


def test_letters_are_kept_apart_from_the_pages(mailbox: Mailbox, pages: Client) -> None:
    mailbox.take(mail("Hi", "<p>Hi"), "a@shop.test", [MIA])
    policy = pages.get("/letter/1/html").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-top-navigation-by-user-activation")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy + pages.get("/letter/1").text
    assert "allow-same-origin" not in policy + pages.get("/letter/1").text
    for path in ("/", "/letters", "/letter/1", "/letter/1/html"):
        headers = pages.get(path).headers
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert "default-src 'none'" in headers["Content-Security-Policy"]


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(mailbox: Mailbox, page: Page) -> Iterator[Callable[[str], str]]:
    """Shows the page at a path, and returns its address."""
    with Served(mailbox.app) as served:

        def at(path: str) -> str:
            page.goto(f"{served.url}{path}")
            return page.url

        yield at


def test_a_click_on_a_link_of_either_part_leads_the_window_there(
    mailbox: Mailbox, page: Page, shown: Callable[[str], str]
) -> None:
    goal = f"{shown('/')}letters?to=goal#SeCrEt"
    mailbox.take(mail(goal, f'<html><head></head><body><a href="{goal}">Go'), "a@shop.test", [MIA])
    for part in (page.frame_locator("iframe"), page.locator(".text")):
        shown("/letter/1")
        part.get_by_role("link").click()
        expect(page).to_have_url(goal)


def test_a_letter_runs_no_script_and_loads_nothing(mailbox: Mailbox, page: Page, shown: Callable[[str], str]) -> None:
    asked: list[str] = []
    mailbox.app.before_request(lambda: asked.append(request.full_path.rstrip("?")))
    script = "<script>top.location = '/letters'</script><meta http-equiv=refresh content='0; url=/letters?meta'>"
    mailbox.take(mail("Hi", f"<img src=/letters?image onerror='{script}'>{script}"), "a@shop.test", [MIA])
    address = shown("/letter/1")
    page.wait_for_load_state("networkidle")  # nothing more was asked for in half a second
    assert page.url == address
    assert sorted(asked) == ["/letter/1", "/letter/1/html"]


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("path", ["/", "/letter/1"])
def test_nothing_is_wider_than_the_window(
    mailbox: Mailbox, page: Page, shown: Callable[[str], str], path: str, width: int
) -> None:
    long = "a" * 60 + "@" + "b" * 60 + ".test"
    mailbox.take(mail(LINK + "x" * 200, "<p>Hi", Subject="S" * 150), "a@shop.test", [long, MIA])
    page.set_viewport_size({"width": width, "height": DESK["height"]})
    shown(path)
    assert page.evaluate("document.documentElement.scrollWidth") == width
