"""From the shop's POST to the page that goes on to Totara, for twenty browsers at once.

What lies between is not counted: the shop's page, Totara's start page, and Totara's answer about the account, which a
stand-in gives at once. The customers have what they bought; nobody works beside the web server.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

import jwt

from bench.launch_server import Sessions
from bench.measure import Row, alternate, percentile, row
from bench.places import Places
from bench.processes import Process, environment, free_port, wait_for
from bench.systems import Systems
from bridge.kinds import ORDER
from bridge.settings import load
from bridge.sso import origin_of
from bridge.wiring import Bridge

BROWSERS = 20
SECRET = "the-secret-of-a-shop-to-be-measured-01"
#: A customer of the shop's, and the course that they bought.
Buyer = tuple[int, str, int]  # customer, address, course


class Browser:
    """One browser with a connection of its own. ``go`` is what is measured."""

    def __init__(self, port: int, shop: str, buyer: Buyer) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._us, self._shop, (customer, self._email, course) = f"http://127.0.0.1:{port}", shop, buyer
        self._sub, self._target, self._sid = str(customer), f"course:{course}", secrets.token_hex(16)

    def token(self) -> str:
        """A token as the shop's plugin signs it."""
        now = int(time.time())
        claims = {"iss": self._shop, "aud": self._us, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
        who = {"sub": self._sub, "email": self._email, "target": self._target, "sid": self._sid}
        return jwt.encode({**claims, **who}, SECRET, "HS256", headers={"typ": "launch+jwt"})

    def _asked(self, method: str, path: str, body: str = "", **headers: str) -> tuple[HTTPResponse, str]:
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        return answer, answer.read().decode()

    def _post(self, token: str) -> HTTPResponse:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin_of(self._shop)}
        return self._asked("POST", "/sso/launch", urlencode({"token": token}), **form)[0]

    def ours(self, token: str) -> None:
        """In from the shop, on to where it leads, and the page with the token for Totara. RuntimeError if not."""
        answer = self._post(token)
        cookie, onward = answer.getheader("Set-Cookie", "").partition(";")[0], answer.getheader("Location", "")
        if onward == "/sso/go":
            onward = self._asked("GET", onward, Cookie=cookie)[0].getheader("Location", "")
        page = self._asked("GET", f"/sso/totara?nonce={'0' * 32}", Cookie=cookie)[1]
        if not onward.endswith("/auth/bridge/start.php") or 'name="token"' not in page:
            raise RuntimeError(f"somebody was not let in, but sent to {onward!r}")

    def floor(self, token: str) -> None:
        """The two requests that can't be avoided."""
        answer = self._post(token)
        cookie = answer.getheader("Set-Cookie", "")
        if answer.status != 200 or self._asked("GET", "/", Cookie=cookie)[0].status != 200:
            raise RuntimeError("the floor did not answer")

    def close(self) -> None:
        """Let go of the connection; the next request makes another."""
        self._connection.close()


class Crowd:
    """Twenty browsers that all come at once, again and again. ``runs`` are the times of each run, in milliseconds."""

    def __init__(self, port: int, shop: str, buyers: Sequence[Buyer], *, floor: bool) -> None:
        self._browsers = [Browser(port, shop, buyer) for buyer in buyers]
        self._go: Callable[[Browser, str], None] = Browser.floor if floor else Browser.ours
        self._pool = ThreadPoolExecutor(len(buyers))
        self.runs: list[list[float]] = []

    def come(self, times: int) -> float:
        """The median of the times that a browser took, in milliseconds."""
        found = [one for each in self._pool.map(lambda one: self._times(one, times), self._browsers) for one in each]
        self.runs.append(found)
        return statistics.median(found)

    def _times(self, browser: Browser, times: int) -> list[float]:
        took = []
        browser.close()  # the server has left, since the last run
        for _ in range(times):
            token = browser.token()
            began = time.perf_counter()
            self._go(browser, token)
            took.append((time.perf_counter() - began) * 1000)
        return took

    def close(self) -> None:
        """Send them away."""
        self._pool.shutdown()
        for browser in self._browsers:
            browser.close()


def _buyers(database: str) -> tuple[str, str, list[Buyer]]:
    """The shop's and Totara's addresses, and twenty customers who have the course that they bought."""
    with Systems() as systems:
        systems.ask("sell", BROWSERS)
        made = Bridge(load(environ=environment(database, systems.shop, systems.totara, free_port())))
        bought = systems.ask("buy_known", BROWSERS)
        made.work.mark_due(ORDER, *(order for order, *_ in bought))
        made.worker().drain()
        made.keys.first()
        made.store.close()
        if (given := systems.ask("enrolled")) != BROWSERS:
            raise RuntimeError(f"of {BROWSERS} courses {given} were given")
        return systems.shop, systems.totara, [(customer, email, course) for _, customer, email, course in bought]


@contextmanager
def _crowds(places: Places, kind: str) -> Iterator[tuple[Crowd, Crowd]]:
    running: list[Process] = []
    crowds: list[Crowd] = []
    known = places.new(kind)
    shop, totara, buyers = _buyers(known)
    try:
        for what in ("ours", "floor"):
            port, database = free_port(), known if what == "ours" else places.new(kind)
            environ = environment(database, shop, totara, port, sso_shop_secrets=SECRET)
            if what == "floor":
                Sessions(database).make_table()
            log = places.folder / f"launch-{what}-{kind}.log"
            running.append(Process([sys.executable, "-m", "bench.launch_server", what], environ, log))
            wait_for(f"http://127.0.0.1:{port}/{'healthz' if what == 'ours' else ''}", running[-1])
            crowds.append(Crowd(port, shop, buyers, floor=what == "floor"))
        yield crowds[0], crowds[1]
    finally:
        for crowd in crowds:
            crowd.close()
        for process in running:
            process.stop()


def launch(places: Places, kind: str, *, quick: bool) -> Iterator[Row]:
    """Launch to signed redirect: the median, with p50 and p99 of all, under twenty browsers at once."""
    times, pairs = (10, 3) if quick else (20, 7)
    with _crowds(places, kind) as (ours, floor):
        for crowd in (ours, floor):
            crowd.come(3)
            crowd.runs.clear()
        figures = alternate(lambda: ours.come(times), lambda: floor.come(times), pairs)
        more = {
            f"{name}_p{share * 100:.0f}_ms": round(percentile([one for run in crowd.runs for one in run], share), 1)
            for name, crowd in (("ours", ours), ("floor", floor))
            for share in (0.5, 0.99)
        }
        yield row("launch to signed redirect, 20 browsers", kind, figures, "ms", 3.0, "at most", **more)
