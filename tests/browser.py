"""A headless Chromium of the machine's own packages, driven over its DevTools pipe: no port, no driver, no library."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self


def find_chromium() -> str | None:
    """The browser's program, or None when the machine has none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class BrowserError(Exception):
    """The browser refused, or did not get to where it should within the time."""


class Browser:
    """A running browser. Each page has cookies of its own, as in a fresh profile."""

    def __init__(self, program: str, *switches: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bridge-browser-"))
        to_it, self._write = os.pipe()
        self._read, from_it = os.pipe()
        options = [
            "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self._folder}", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--hide-scrollbars", "--lang=en", *switches, "about:blank",
        ]  # fmt: skip
        if os.geteuid() == 0:  # its sandbox refuses to run as root
            options.insert(0, "--no-sandbox")
        # The browser reads from 3 and writes to 4; bash is there to give the pipe's ends these numbers.
        shell = f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, program, *options],
            pass_fds=(to_it, from_it),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        self._number = 0
        self._unread = b""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        """Stop it, and leave nothing behind."""
        self.stop()

    def stop(self) -> None:
        """Stop it, and leave nothing behind."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol. Raises BrowserError if it is refused."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + 30
        while True:
            answer = self._next(ends, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, ends: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._read], [], [], max(0.0, ends - time.monotonic()))[0]:
                raise BrowserError(f"{method}: no answer in time")
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise BrowserError(f"{method}: the browser is gone")
            self._unread += piece
        whole, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(whole)
        return message

    def page(self, width: int = 1280, height: int = 900, *, javascript: bool = True) -> Page:
        """A new page, with cookies of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(lambda method, **more: self.call(method, session, **more))
        page.size(width, height)
        if not javascript:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        return page


class Page:
    """One page of the browser."""

    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self.call = call
        self.call("Page.enable")

    def size(self, width: int, height: int) -> None:
        """Make the window so large; below 600 it is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression. Raises BrowserError where it throws."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise BrowserError(f"{script}: {done['exceptionDetails'].get('exception', {}).get('description')}")
        return done["result"].get("value")

    def wait(self, script: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true. Raises BrowserError after the time, with what is shown."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                if self.evaluate(f"!!({script})"):
                    return
            except BrowserError:
                pass  # between two pages
            time.sleep(0.05)
        raise BrowserError(f"never true: {script}; at {self.url} is {self.text[:500]!r}")

    def go(self, url: str) -> None:
        """Go to an address, and wait until the page is there."""
        self.evaluate("window.academyTestOldPage = true")
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.wait("!window.academyTestOldPage && document.readyState === 'complete'")

    def wait_at(self, url: str, script: str, seconds: float = 20.0) -> None:
        """Go to an address again and again, until an expression is true there. Raises BrowserError after the time."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.go(url)
            if self.evaluate(f"!!({script})"):
                return
            time.sleep(0.2)
        raise BrowserError(f"never true: {script}; at {self.url} is {self.text[:500]!r}")

    def fill(self, selector: str, text: str) -> None:
        """Write into a field."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}; true")

    def click(self, selector: str) -> None:
        """Click with the mouse, in the middle of what is there."""
        found = json.dumps(selector)
        self.wait(f"document.querySelector({found})")
        self.evaluate(f"document.querySelector({found}).scrollIntoView({{block: 'center', behavior: 'instant'}}); true")
        x, y = self.evaluate(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector({found}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    @property
    def url(self) -> str:
        """Where the page is."""
        history = self.call("Page.getNavigationHistory")
        return str(history["entries"][history["currentIndex"]]["url"])

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
