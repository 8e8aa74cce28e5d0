"""The sandbox as a whole: embedded systems in this process, and the real bridge in one of its own."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from bridge.errors import BridgeError
from bridge.sandbox.mailbox import MOST_BYTES, Mailbox
from bridge.sandbox.server import Served
from bridge.sandbox.shop import Shop
from bridge.sandbox.smtp import Smtp
from bridge.sandbox.stripe import SANDBOX_KEY, Stripe
from bridge.sandbox.totara import Totara
from bridge.sandbox.world import seed_academy
from bridge.settings import Settings, load
from bridge.wiring import Bridge

#: What is sold in the sandbox, and for how much. Read by the bridge as any configuration is.
CONFIG = """
[catalogue]
every_seconds = 30
[[catalogue.allow]]
category = "Customs basics"
[[catalogue.allow]]
category = "Trade facilitation"
[[catalogue.deny]]
category = "Enforcement (restricted)"
[[catalogue.prices]]
shortname = "HS*"
price = "180.00"
[[catalogue.prices]]
category = "Customs basics"
price = "95.00"
[[catalogue.prices]]
shortname = "TRANSIT"
price = "240.00"
[orders]
sweep_seconds = 5
grace_days = 0.00005  # about four seconds, so that a person can watch it end
[work]
watch_seconds = 5
breaker_seconds = 2
backoff_seconds = 0.5
[log]
format = "text"
"""


class NotStarted(BridgeError):
    """The bridge's process ended, or did not answer in time."""


def free_port(wanted: int) -> int:
    """The wanted loopback port if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotStarted("no free port on the loopback interface")


class Town:
    """A shop, a Totara, a Stripe, a mail server and a bridge, with what they keep in one folder. Use as a context.

    ``totara_host`` is the name by which browsers and the bridge reach Totara; ``more`` is added to the bridge's
    settings, as its environment.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 8080,
        quiet: bool = False,
        totara_host: str = "127.0.0.1",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self._made = None if folder else tempfile.TemporaryDirectory(prefix="bridge-sandbox-")
        self.folder = folder or Path(self._made.name if self._made else "")
        self.folder.mkdir(parents=True, exist_ok=True)
        key, secret, client_secret, token = ("".join((p, secrets.token_hex(16))) for p in ("ck_", "cs_", "", ""))
        self.shop = Shop(consumer_key=key, consumer_secret=secret, subscriptions=True, bundles=True)
        self.stripe = Stripe()
        self.shop.gateway = self.stripe.take
        self.totara = Totara(client_secret=client_secret, ws_token=token, isolation=False)
        self.ids = seed_academy(self.totara)
        self.mailbox = Mailbox()
        self._ports = [free_port(port + n if port else 0) for n in range(6)]
        self._served: list[Served | Smtp] = []
        self._quiet = quiet
        self._process: subprocess.Popen[bytes] | None = None
        bridge, shop, _, stripe, mail = (f"http://127.0.0.1:{number}" for number in self._ports[:5])
        totara = f"http://{totara_host}:{self._ports[2]}"
        self.url, self.shop_url, self.totara_url, self.stripe_url = bridge, shop, totara, stripe
        self.mail_url = mail
        shared = secrets.token_urlsafe(32)
        self.plugin = self.shop.install_plugin(bridge, shared, shop)
        self.totara.sign_on.connect(bridge, totara, tenant="academy")
        signing = f"whsec_{secrets.token_hex(16)}"
        self.stripe.events.add_endpoint(f"{bridge}/webhooks/stripe", live=self.stripe.live, secret=signing)
        config = self.folder.resolve() / "bridge.toml"
        config.write_text(CONFIG, encoding="utf-8")
        self._environment = {
            "BRIDGE_CONFIG": str(config),
            "BRIDGE_DATABASE_URL": f"sqlite:///{config.with_name('bridge.sqlite3')}",
            "BRIDGE_MAIL_HOST": "127.0.0.1",
            "BRIDGE_MAIL_PORT": str(self._ports[5]),
            "BRIDGE_MAIL_SECURITY": "none",
            "BRIDGE_MAIL_FROM_ADDRESS": "learning@academy.example",
            "BRIDGE_MAIL_FROM_NAME": self.totara.sitename,
            "BRIDGE_SERVER_BIND": f"127.0.0.1:{self._ports[0]}",
            "BRIDGE_SERVER_PUBLIC_URL": bridge,
            "BRIDGE_SHOP_URL": shop,
            "BRIDGE_SHOP_CONSUMER_KEY": key,
            "BRIDGE_SHOP_CONSUMER_SECRET": secret,
            "BRIDGE_SHOP_WEBHOOK_SECRETS": secrets.token_urlsafe(24),
            "BRIDGE_SSO_SHOP_SECRETS": shared,
            "BRIDGE_STRIPE_URL": stripe,
            "BRIDGE_STRIPE_SECRET_KEY": SANDBOX_KEY,
            "BRIDGE_STRIPE_WEBHOOK_SECRETS": signing,
            "BRIDGE_TOTARA_URL": totara,
            "BRIDGE_TOTARA_CLIENT_ID": "sandbox-client",
            "BRIDGE_TOTARA_CLIENT_SECRET": client_secret,
            "BRIDGE_TOTARA_WS_TOKEN": token,
            "BRIDGE_TOTARA_TENANT": "academy",
            **(more or {}),
        }
        #: What a shell reads to run the bridge's own commands on this sandbox: as secret as what it holds.
        self.env_file = config.with_name("bridge.env")
        self.env_file.touch(0o600)
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in self._environment.items())
        self.env_file.write_text("".join(lines), encoding="utf-8")

    @property
    def settings(self) -> Settings:
        """The settings that the bridge runs with."""
        return load(environ=self._environment)

    def __enter__(self) -> Town:
        try:
            self._serve()
            self.start_bridge()
            self.install()
        except BaseException:
            self.__exit__()
            raise
        self.shop.start_queue(every=1.0)
        self.plugin.start()
        self.stripe.events.start(every=1.0)
        return self

    def _serve(self) -> None:
        apps = self.shop.app, self.totara.app, self.stripe.app, self.mailbox.app
        for app, port in zip(apps, self._ports[1:5], strict=True):
            self._served.append(Served(app, port).start())
        smtp = Smtp(self.mailbox, self._ports[5], data_size_limit=MOST_BYTES)
        smtp.start()
        self._served.append(smtp)

    def __exit__(self, *error: object) -> None:
        self.plugin.stop()
        self.shop.stop_queue()
        self.stripe.events.stop()
        self.stop_bridge()
        while self._served:
            self._served.pop().stop()
        if self._made:
            self._made.cleanup()

    def start_bridge(self) -> None:
        """Start ``bridge run`` and wait until it answers."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "run"],
            env={**others, **self._environment},
            stderr=subprocess.DEVNULL if self._quiet else None,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
        )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise NotStarted(f"the bridge ended with exit code {self._process.returncode}")
            try:
                requests.get(f"{self.url}/healthz", timeout=1).raise_for_status()
            except requests.RequestException:
                time.sleep(0.1)
                continue
            return
        raise NotStarted("the bridge did not answer within 30 seconds")

    def stop_bridge(self, number: int = signal.SIGTERM) -> None:
        """Stop the bridge's process, and wait for it."""
        if self._process and self._process.poll() is None:
            if number == signal.SIGKILL:  # its children too: by themselves they go on for up to a second
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def install(self) -> None:
        """What an operator does once: register the webhooks, and make the first key that signs for Totara."""
        from bridge.commands.shop import install_webhooks

        bridge = Bridge(self.settings)
        install_webhooks(bridge)
        if not bridge.keys.all():
            bridge.keys.first()
        bridge.store.close()

    def alive(self) -> bool:
        """Whether the bridge still runs."""
        return self._process is not None and self._process.poll() is None
