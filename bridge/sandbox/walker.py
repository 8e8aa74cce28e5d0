"""A browser for the tour, as far as it needs one: it keeps cookies, follows redirects, and sends forms off that pages
send off by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

from bridge.sandbox.shop_hooks import outgoing

#: Pages that one click may lead through, and seconds that one may take to answer.
MOST_PAGES, PATIENCE = 12, 30


@dataclass(slots=True)
class _Form:
    """Where a form leads, by itself and by its buttons, and what it brings along that nobody types."""

    action: str
    others: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


class _Page(HTMLParser):
    """What a page has that leads on: links by the words on them, its forms, and whether it sends them by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.forms: list[_Form] = []
        self.submits = ".submit()" in text
        self._link: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where it leads."""
        has = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._link = has.get("href")
        elif tag == "form":
            self.forms.append(_Form(has.get("action", "")))
        elif tag == "input" and has.get("type") == "hidden" and self.forms:
            self.forms[-1].fields[has["name"]] = has.get("value", "")
        elif tag == "button" and has.get("formaction") and self.forms:
            self.forms[-1].others.append(has["formaction"])

    def handle_data(self, data: str) -> None:
        """Note what a link says."""
        if self._link is not None and data.strip():
            self.links[data.strip()], self._link = self._link, None


class Walker:
    """One person's browser. Pages that fail are answers like others; ConnectionError where nobody answers."""

    def __init__(self) -> None:
        self._session = outgoing()

    def go(self, url: str) -> requests.Response:
        """The page at an address, once nothing leads on from it by itself."""
        return self._settled(self._session.get(url, timeout=PATIENCE))

    def send(self, url: str, **fields: str | int) -> requests.Response:
        """The page that a form leads to, filled in on a page of the same site."""
        return self._settled(self._posted(url, url, fields))

    def press(self, page: requests.Response) -> requests.Response:
        """The page that a page's first form leads to, with nothing filled in."""
        return self._settled(self._submitted(page.url, _Page(page.text).forms[0]))

    def fill(self, page: requests.Response, to: str, **fields: str | bytes) -> requests.Response:
        """The page that a page's form leads to, by itself or by a button whose address ends in ``to``, filled in; bytes
        are a file that is chosen. Raises LookupError if there is no such form.
        """
        return self._settled(self._filled(page, to, fields))

    def leave(self, page: requests.Response, to: str, **fields: str | bytes) -> None:
        """Send such a form off, and close the window before anything comes of it."""
        self._filled(page, to, fields, onward=False)

    def _filled(
        self, page: requests.Response, to: str, fields: Mapping[str, str | bytes], *, onward: bool = True
    ) -> requests.Response:
        for form in _Page(page.text).forms:
            for action in (form.action, *form.others):
                if action.endswith(to):
                    sent = {**form.fields, **fields}
                    return self._posted(page.url, urljoin(page.url, action), sent, onward=onward)
        raise LookupError(f"no form leads to {to} at {page.url}, which has status {page.status_code}")

    def click(self, page: requests.Response, words: str) -> requests.Response:
        """The page that a link leads to. KeyError if there is none with these words."""
        return self.go(urljoin(page.url, _Page(page.text).links[words]))

    def _settled(self, answer: requests.Response) -> requests.Response:
        for _ in range(MOST_PAGES):
            page = _Page(answer.text) if answer.headers.get("Content-Type", "").startswith("text/html") else None
            if page and page.submits and page.forms:
                answer = self._submitted(answer.url, page.forms[0])
            elif "Refresh" in answer.headers:
                time.sleep(1.0)
                answer = self._session.get(answer.url, timeout=PATIENCE)
            else:
                break
        return answer

    def _submitted(self, url: str, form: _Form) -> requests.Response:
        return self._posted(url, urljoin(url, form.action), form.fields)

    def _posted(
        self, page: str, url: str, fields: Mapping[str, str | int | bytes], *, onward: bool = True
    ) -> requests.Response:
        """Browsers tell with a POST which site the form was on."""
        parts = urlsplit(page)
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}"}
        files = {name: (f"{name}.csv", value) for name, value in fields.items() if isinstance(value, bytes)}
        data = {name: value for name, value in fields.items() if name not in files}
        return self._session.post(
            url, data, files=files or None, headers=headers, timeout=PATIENCE, allow_redirects=onward
        )

    def cookie(self, name: str) -> str:
        """The value of a cookie, "" for none."""
        return str(self._session.cookies.get(name, ""))

    def close(self) -> None:
        """Forget everything."""
        self._session.close()
