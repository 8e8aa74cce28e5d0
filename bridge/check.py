"""Try everything an order will need, and say in words what to mend and where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bridge import check_deep, check_offers, check_totara
from bridge.errors import BridgeError
from bridge.findings import Finding, Look
from bridge.letters.render import check_templates
from bridge.store.db import schema_is_current
from bridge.wiring import Bridge

LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def check(bridge: Bridge, canary: str | None = None) -> list[Finding]:
    """Everything, in the order in which things depend on each other. One failure does not hide the next.

    Changes nothing anywhere, unless there is an address for a ``canary``: an account in Totara that then enters every
    course on sale, and leaves it again. "" is one that is missing.
    """
    findings: list[Finding] = []
    looks: list[tuple[str, Look, str]] = [
        ("database", _database, "see database.url; `bridge migrate` makes the tables"),
        (
            "shop",
            _shop,
            "see shop.url, and the key under WooCommerce > Settings > Advanced > REST API (read/write)",
        ),
        ("webhooks", _webhooks, "the key's user must be a shop manager; then `bridge webhooks install`"),
        ("stripe", _stripe, "see [stripe]; a restricted key must be able to read what this names"),
        (
            "totara",
            check_totara.connection,
            "see totara.url and the credentials; Totara: Development > API > API clients",
        ),
        ("rights", check_totara.capabilities, "see the service account's role and web service in Totara"),
        ("tenant", check_totara.tenant, "see totara.tenant; Totara: Users > Tenants"),
        ("rules", check_totara.rules, "see [catalogue]"),
        ("courses on sale", check_totara.sold, "see `bridge catalogue plan`"),
        ("offers", check_offers.offers, "see the offers file"),
        ("letters", _letters, "see [mail]; then `bridge mail test ADDRESS`"),
        ("proxies", _proxies, ""),
    ]
    if canary is not None:
        mend = "see the service account's role and web service in Totara"
        looks.append((check_deep.WHAT, partial(check_deep.deep, address=canary), mend))
    for what, look, mend in looks:
        try:
            findings.extend(look(bridge))
        except BridgeError as err:
            findings.append(Finding("problem", what, str(err), mend))
    return findings


def _database(bridge: Bridge) -> Iterator[Finding]:
    kind = "SQLite" if bridge.store.is_sqlite else "PostgreSQL"
    if schema_is_current(bridge.store):
        yield Finding("ok", "database", f"{kind}, tables up to date")
    else:
        yield Finding("problem", "database", f"{kind}, without this version's tables", "run `bridge migrate`")


def _shop(bridge: Bridge) -> Iterator[Finding]:
    bridge.shop.status()
    yield Finding("ok", "shop", "answers, and lets us read orders")
    if bridge.settings.shop.url.startswith("http://") and urlsplit(bridge.settings.shop.url).hostname not in (
        "localhost",
        "127.0.0.1",
        "::1",
    ):
        yield Finding("problem", "shop", "is spoken to without encryption", "use its https address in shop.url")


def _webhooks(bridge: Bridge) -> Iterator[Finding]:
    url = bridge.jobs.delivery_url
    ours = {hook["topic"]: hook["status"] for hook in bridge.shop.webhooks() if hook["delivery_url"] == url}
    for topic in bridge.jobs.topics():
        state = ours.get(topic)
        if state == "active":
            yield Finding("ok", "webhooks", f"{topic} is active")
        else:
            said = f"{topic} is {state}" if state else f"{topic} is not registered"
            yield Finding("problem", "webhooks", said, "run `bridge webhooks install`")
    here, shop = urlsplit(url).hostname or "", urlsplit(bridge.settings.shop.url).hostname or ""
    if here.startswith(LOOPBACK) and not shop.startswith(LOOPBACK):
        yield Finding(
            "problem",
            "webhooks",
            f"the shop can't deliver to {here}: WooCommerce refuses private addresses without saying so",
            "set server.public_url to an address that the shop can reach",
        )
    if not bridge.settings.shop.webhook_secrets and not bridge.kept_secrets():
        yield Finding(
            "problem",
            "webhooks",
            "there is no secret to verify deliveries with",
            "run `bridge webhooks install`",
        )


def _stripe(bridge: Bridge) -> Iterator[Finding]:
    config = bridge.settings.stripe
    if bridge.stripe is None:
        yield Finding("note", "stripe", "is not configured: what the shop calls paid is taken as paid")
        return
    found = bridge.stripe.status()
    mode = "live" if found.live else "test"
    yield Finding("ok", "stripe", f"answers, in {mode} mode, by version {found.version}")
    if not config.webhook_secrets:
        said = "does not deliver: a dispute is seen only when the shop tells of its order"
        mend = f"make a webhook endpoint for {bridge.settings.server.public_url}/webhooks/stripe in Stripe, and set "
        yield Finding("problem", "stripe", said, f"{mend}stripe.webhook_secrets")


def _letters(bridge: Bridge) -> Iterator[Finding]:
    config = bridge.settings.mail
    for problem in check_templates(Path(config.templates) if config.templates else None, language=config.language):
        yield Finding("problem", "letters", problem, "see mail.templates and mail.language; `bridge mail preview`")
    if bridge.mailer is None:
        said = "no mail server is configured: learners are not written to"
        yield Finding("note", "letters", said, "set mail.host if they should be")
        return
    bridge.mailer.check()
    yield Finding("ok", "letters", "the mail server lets us in")


def _proxies(bridge: Bridge) -> Iterator[Finding]:
    """The bridge speaks no https itself: at an address that does, there is a web server before it."""
    server = bridge.settings.server
    if bridge.links is not None and server.public_url.startswith("https://") and not server.trusted_proxies:
        said = "who asks for mailed links can't be told apart: everybody comes from your web server"
        yield Finding("note", "proxies", said, "set server.trusted_proxies to how many of them stand before the bridge")
