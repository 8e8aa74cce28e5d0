"""The embedded mail server's pages: an inbox of all letters, and each letter as a mail program shows it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, render_template, request

from bridge.sandbox.mailbox import Mailbox, Received

#: What our own pages may do.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: What a letter may do, in its frame or opened by itself: be seen, and lead away by a click.
MAY = "allow-top-navigation-by-user-activation allow-popups allow-popups-to-escape-sandbox"
POLICY_OF_LETTERS = (
    f"sandbox {MAY}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'self'"
)


def make_pages(mailbox: Mailbox) -> Blueprint:
    """The pages, as a blueprint for one mailbox."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    for rule, view in (
        ("/", inbox),
        ("/letters", letters),
        ("/letter/<int:number>", letter),
        ("/letter/<int:number>/html", letter_html),
    ):
        pages.add_url_rule(rule, view.__name__, partial(view, mailbox))
    pages.after_request(_guarded)
    return pages


def _guarded(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", POLICY)
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def inbox(mailbox: Mailbox) -> str:
    """All letters, or those to one address (``?to=``), the newest first."""
    to = request.args.get("to", "").strip()
    known = sorted({address for one in mailbox.letters() for address in one.to})
    return render_template("mail_inbox.html", letters=mailbox.letters(to), to=to, known=known)


def letters(mailbox: Mailbox) -> list[dict[str, Any]]:
    """The same for machines, with the letters' texts."""
    return [one.as_dict() for one in mailbox.letters(request.args.get("to", ""))]


def letter(mailbox: Mailbox, number: int) -> str:
    """One letter: its HTML in a frame that can do nothing to us, and its text beside it."""
    return render_template("mail_letter.html", letter=_get(mailbox, number), may=MAY)


def letter_html(mailbox: Mailbox, number: int) -> Response:
    """What goes into the frame. Its links lead the whole window away."""
    html = re.sub(r"(?i)<head\b[^>]*>|\Z", r'\g<0><base target="_top">', _get(mailbox, number).html, count=1)
    answer = Response(html, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = POLICY_OF_LETTERS
    return answer


def _get(mailbox: Mailbox, number: int) -> Received:
    return mailbox.find_letter(number) or abort(404)
