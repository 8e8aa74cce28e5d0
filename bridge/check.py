"""Try everything an order will need, and say in words what to mend and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from bridge.domain.catalogue import Rules
from bridge.errors import BridgeError
from bridge.letters.render import check_templates
from bridge.store.db import schema_is_current
from bridge.store.models import products
from bridge.totara_client import NEEDS
from bridge.wiring import Bridge


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``level`` is ok, note or problem; a problem comes with what to do about it."""

    level: str
    what: str
    said: str
    mend: str = ""


Look = Callable[[Bridge], Iterator[Finding]]
LOOPBACK = ("127.", "localhost", "[::1]", "::1")


def check(bridge: Bridge) -> list[Finding]:
    """Everything, in the order in which things depend on each other. One failure does not hide the next."""
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
        ("totara", _totara, "see totara.url and the credentials; Totara: Development > API > API clients"),
        ("tenant", _tenant, "see totara.tenant; Totara: Users > Tenants"),
        ("rules", _rules, "see [catalogue]"),
        ("courses on sale", _sold, "see `bridge catalogue plan`"),
        ("letters", _letters, "see [mail]; then `bridge mail test ADDRESS`"),
    ]
    for what, look, mend in looks:
        try:
            findings += look(bridge)
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


def _totara(bridge: Bridge) -> Iterator[Finding]:
    can = bridge.totara.capabilities(again=True)
    ways = [name for name, there in (("GraphQL API", can.graphql), ("web services", can.web_services)) if there]
    yield Finding("ok", "totara", f"answers by {' and '.join(ways) or 'nothing'}")
    for purpose, names in NEEDS.items():
        there = [name for name in names if can.can(name)]
        if there:
            yield Finding("ok", "totara", f"can {purpose} ({there[0]})")
        else:
            mend = f"allow {names[0]} in the web service of totara.ws_token"
            yield Finding("problem", "totara", f"can't {purpose} on this site", mend)
    tree = bridge.totara.tree()
    yield Finding("ok", "totara", f"shows {len(tree)} course categories")


def _tenant(bridge: Bridge) -> Iterator[Finding]:
    tenant = bridge.settings.totara.tenant
    if not tenant:
        said = "none is configured: customers become users of the whole site, and see what site users see"
        yield Finding("note", "tenant", said, "set totara.tenant if the site has tenants")
        return
    there = bridge.totara.tenant_exists()
    if there is None:
        said = f"whether {tenant} exists can't be told: it needs the API client and core_webservice_get_site_info"
        yield Finding("note", "tenant", said)
    elif there:
        yield Finding("ok", "tenant", f"{tenant} exists, and accounts can be made in it")
    else:
        yield Finding("problem", "tenant", f"{tenant} does not exist", "see totara.tenant; Totara: Users > Tenants")


def _rules(bridge: Bridge) -> Iterator[Finding]:
    rules = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny)
    for name in rules.unknown_categories(bridge.totara.tree()):
        said = f"a rule names the category {name!r}, which Totara does not show"
        yield Finding("problem", "rules", said, "give the category's id or name in [catalogue]")


def _sold(bridge: Bridge) -> Iterator[Finding]:
    with bridge.store.read() as connection:
        query = select(products.c.course_id).where(products.c.retired.is_(False)).order_by(products.c.course_id)
        sold = [course for (course,) in connection.execute(query)]
    if not sold:
        yield Finding(
            "note",
            "courses on sale",
            "none yet",
            "set [[catalogue.allow]] rules, then `bridge catalogue plan`",
        )
        return
    rules = Rules(bridge.settings.catalogue.allow, bridge.settings.catalogue.deny)
    tree = bridge.totara.tree()
    good = 0
    blind = False
    for start in range(0, len(sold), 100):
        part = sold[start : start + 100]
        found = bridge.totara.find_courses(part)
        for course_id in part:
            course = found.get(course_id)
            if course is None:
                yield Finding(
                    "problem",
                    "courses on sale",
                    f"course {course_id} is not in Totara",
                    "bridge catalogue apply",
                )
                continue
            blind = blind or course.visible is None
            verdict = rules.judge(bridge.jobs.learners.as_judged(course), tree)
            if verdict.selected:
                good += 1
            else:
                said = f"course {course_id} is on sale but {verdict.reason}"
                yield Finding("problem", "courses on sale", said, "run `bridge catalogue apply`, or mend the course")
    if blind:
        said = "whether a course is hidden can't be read, and hidden ones may be sold"
        mend = "give the service account moodle/course:update, or take moodle/course:viewhiddencourses from it"
        yield Finding("problem", "courses on sale", said, mend)
    yield Finding("ok", "courses on sale", f"{good} of {len(sold)} can be given")


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
