"""Stands where the bridge is, as the shop's plugin sees it: takes sign-ins, questions and pokes, and keeps them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt

PAGE = b"<!DOCTYPE html><title>Learning site</title><h1>Welcome to the learning site</h1>"


@dataclass
class Got:
    """One request."""

    method: str
    path: str
    token: str
    headers: dict[str, str]


@dataclass
class Receiver:
    """The receiver. ``mood`` is what it does now: "well", "slow", "hangs", "refuses", "elsewhere" or "strange"."""

    courses: list[Any] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)  # what else it tells of a customer
    mood: str = "well"
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop it, and whoever hangs in it."""
        self.released.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def feels(self, mood: str) -> None:
        """Behave otherwise from now on, and forget what came so far."""
        self.mood = mood
        self.got.clear()

    def claims(self, kind: str, shop: str, secret: str) -> list[dict[str, Any]]:
        """The claims of all tokens of a kind that came, each verified as the bridge has to."""
        needed = ["iss", "aud", "iat", "exp", "jti"]
        found = []
        for token in (one.token for one in self.got if one.token):
            if jwt.get_unverified_header(token) == {"alg": "HS256", "typ": f"{kind}+jwt"}:
                claims = jwt.decode(
                    token, secret, algorithms=["HS256"], issuer=shop, audience=self.address, leeway=5,
                    options={"require": needed},
                )  # fmt: skip
                assert claims["exp"] - claims["iat"] <= 60
                found.append(claims)
        return found

    def answer(self, got: Got) -> tuple[int, bytes, str]:
        """Status, body and type of the answer."""
        if self.mood == "hangs":
            self.released.wait(30)
        if self.mood == "slow":
            self.released.wait(0.3)
        if self.mood == "elsewhere":
            return 301, b"", "text/html"
        if self.mood == "strange":
            return 404, b"<h1>A shop of flowers</h1><script>alert(1)</script>", "text/html"
        if got.path == "/sso/launch":
            return 200, PAGE, "text/html"
        if self.mood == "refuses":
            return 401, json.dumps({"error": {"code": "token", "message": "no"}}).encode(), "application/json"
        return self._api(got)

    def _api(self, got: Got) -> tuple[int, bytes, str]:
        if got.path == "/api/v1/status":
            return 200, json.dumps({"bridge": "0.2", "ok": True}).encode(), "application/json"
        if got.path == "/api/v1/pokes":
            return 202, b"{}", "application/json"
        if got.path.endswith("/sign-out"):
            customer = int(got.path.split("/")[-2])
            return 200, json.dumps({"customer": customer, "ended": 1}).encode(), "application/json"
        if got.path.endswith("/courses"):
            customer = int(got.path.split("/")[-2])
            told = {"customer": customer, "courses": self.courses, "checked_at": "2026-11-24T08:00:00Z"} | self.more
            return 200, json.dumps(told).encode(), "application/json"
        return 404, b"", "text/html"


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            token = bearer or parse_qs(body).get("token", [""])[0]
            got = Got(self.command, self.path, token, dict(self.headers))
            if self.path != "/favicon.ico":
                receiver.got.append(got)
            status, content, kind = receiver.answer(got)
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                if status == 301:
                    self.send_header("Location", "https://elsewhere.test/")
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # whoever asked did not wait

        do_GET = do_POST = _take

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what came is kept."""

    return Handler
