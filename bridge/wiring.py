"""Everything put together from the settings. Making it calls nobody and starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge.addresses import Addresses
from bridge.catalogue import CatalogueSync
from bridge.desk import Desk
from bridge.domain.offers import Offers
from bridge.errors import Unavailable
from bridge.health import health
from bridge.http import Breaker, Wire
from bridge.invitations import Invitations
from bridge.keys import SigningKeys
from bridge.kinds import ALL, SYSTEMS, WATCH
from bridge.letters.render import Letters
from bridge.machines import Machines
from bridge.mail import Mailer, Post, Sender, mailable
from bridge.mailed_links import MailedLinks
from bridge.naming import Names
from bridge.oidc import Provider
from bridge.payments import StripePayments
from bridge.pictures import pictures
from bridge.settings import Settings, offers_of
from bridge.sharing import Sharing
from bridge.sso import SignOn
from bridge.starting import Starting
from bridge.store import ledger
from bridge.store.db import Store, utc_now
from bridge.store.group import GroupMarker
from bridge.store.work import Work
from bridge.stripe_client import StripeClient
from bridge.sync_jobs import Clock, Jobs
from bridge.totara_client import TotaraClient
from bridge.ways_in import WaysIn
from bridge.web.api import api
from bridge.web.entrance import entrance
from bridge.web.links import by_link
from bridge.web.oidc import oidc
from bridge.web.team_api import team_api
from bridge.web.teams import team_pages
from bridge.web.teams.records import Billings
from bridge.web.unknown import answers_the_unknown
from bridge.web.waiting import Waiting
from bridge.webhooks import Receiver, Secrets, StripeReceiver
from bridge.woo_client import WooClient
from bridge.worker import Worker

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SECRET_NOTE = "webhook_secrets"  # noqa: S105  the name of a note, not a secret


#: Seconds for which a page waits for the shop or for Totara.
PATIENCE = 4.0
#: One of so many of the server's threads may wait until what was bought is settled: deliveries need the others.
WAITING = 4


@dataclass(frozen=True)
class Bridge:
    """The parts of one bridge, each made when first asked for. ``now`` is its clock."""

    settings: Settings
    now: Callable[[], datetime] = utc_now

    @cached_property
    def store(self) -> Store:
        """The database."""
        return Store(self.settings.database.url.get_secret_value())

    @cached_property
    def work(self) -> Work:
        """What is owed."""
        config = self.settings.work
        return Work(
            self.store,
            lease=config.lease_seconds,
            backoff=config.backoff_seconds,
            cap=config.backoff_cap_seconds,
            now=self.now,
        )

    @cached_property
    def breakers(self) -> dict[str, Breaker]:
        """One circuit breaker for each outside system."""
        config = self.settings.work
        return {
            name: Breaker(name, failures=config.breaker_failures, seconds=config.breaker_seconds)
            for name in ("shop", "totara", "stripe", "mail")
        }

    def _wire(self, system: str, timeout: float) -> Wire:
        return Wire(system, timeout=timeout, tries=self.settings.work.read_tries, breaker=self.breakers[system])

    @cached_property
    def shop(self) -> WooClient:
        """The shop."""
        return self._shop_by(self._wire("shop", self.settings.shop.timeout_seconds))

    def _shop_by(self, wire: Wire) -> WooClient:
        config = self.settings.shop
        key, secret = config.consumer_key.get_secret_value(), config.consumer_secret.get_secret_value()
        return WooClient(config.url, key, secret, wire)

    @cached_property
    def addresses(self) -> Addresses:
        """Whether customers still have the addresses that they have proven."""
        return Addresses(self.store, self.shop, self.now)

    @cached_property
    def totara(self) -> TotaraClient:
        """Totara."""
        return self._totara_by(self._wire("totara", self.settings.totara.timeout_seconds))

    def _totara_by(self, wire: Wire) -> TotaraClient:
        config = self.settings.totara
        return TotaraClient(
            config.url,
            wire,
            client_id=config.client_id,
            client_secret=config.client_secret.get_secret_value(),
            ws_token=config.ws_token.get_secret_value(),
            tenant=config.tenant,
            learner_role=config.learner_role,
        )

    @cached_property
    def stripe(self) -> StripeClient | None:
        """Stripe, where it is configured."""
        config = self.settings.stripe
        if not config.secret_key:
            return None
        return StripeClient(
            config.secret_key.get_secret_value(), self._wire("stripe", config.timeout_seconds), url=config.url
        )

    @cached_property
    def letters(self) -> Letters:
        """What learners are written."""
        config = self.settings.mail
        return Letters(
            Path(config.templates) if config.templates else None,
            site=self.settings.totara.url,
            sender=config.from_name or urlsplit(self.settings.totara.url).hostname or "",
            language=config.language,
            timezone=config.timezone,
            replies=bool(config.reply_to),
        )

    @cached_property
    def mailer(self) -> Mailer | None:
        """Who sends letters; None when no mail server is configured."""
        config = self.settings.mail
        if not config.host:
            return None
        post = Post(
            config.host,
            config.port,
            security=config.security,
            username=config.username,
            password=config.password.get_secret_value(),
            timeout=config.timeout_seconds,
            greeting=mailable(config.from_address).rpartition("@")[2],
            breaker=self.breakers["mail"],
        )
        return Mailer(self.letters, post, Sender(config.from_address, config.from_name, config.reply_to))

    @cached_property
    def catalogue(self) -> CatalogueSync:
        """The catalogue."""
        return CatalogueSync(self.settings, self.store, self.shop, self.totara)

    @cached_property
    def offers(self) -> Offers:
        """The operator's offers."""
        return offers_of(self.settings)

    @cached_property
    def jobs(self) -> Jobs:
        """The jobs."""
        return Jobs(
            self.settings,
            self.store,
            self.work,
            self.shop,
            self.totara,
            self.catalogue,
            offers=self.offers,
            payments=StripePayments(self.stripe) if self.stripe else None,
            mailer=self.mailer,
            links=self.links,
            desk=self.desk,
            invitations=self.invitations,
            now=self.now,
        )

    def worker(self) -> Worker:
        """A worker, not started. What its calls tell of a system that is back is heeded at once."""
        for name, breaker in self.breakers.items():
            breaker.on_recovery = partial(self._recovered, name)
        return Worker(
            self.work,
            self.jobs.handlers,
            needs=SYSTEMS,
            breakers=self.breakers,
            threads=self.settings.work.threads,
            poll=self.settings.work.poll_seconds,
        )

    def _recovered(self, system: str) -> None:
        """Have the watch look again, if what it wrote down last is that this system is away."""
        with suppress(Unavailable):
            with self.store.read() as connection:
                note = ledger.read_note(connection, "watch")
            if note and note[0].get(system):
                self.work.mark_due(WATCH, ALL)

    def clock(self) -> Clock:
        """The clock, not started."""
        return Clock(self.settings, self.work)

    def kept_secrets(self) -> Sequence[str]:
        """The webhook secrets that the bridge made itself, the newest first."""
        with self.store.read() as connection:
            note = ledger.read_note(connection, SECRET_NOTE)
        return list(note[0]) if note else []

    def web(self) -> Flask:
        """The web application."""
        app = Flask("bridge", static_folder=None)
        # By a file's name Flask would escape in .html alone, and not in .html.j2.
        app.jinja_options = {**app.jinja_options, "autoescape": True}
        configured = [secret.get_secret_value() for secret in self.settings.shop.webhook_secrets]
        app.register_blueprint(health(self.store, self.work, watch_seconds=self.settings.work.watch_seconds))
        app.register_blueprint(pictures(self.store))
        if self.sign_on is not None and self.links is not None:
            waiting = Waiting(self.settings.server.threads // WAITING)
            app.register_blueprint(entrance(self.sign_on, self.keys, Sharing(self.store, self.now), waiting))
            app.register_blueprint(by_link(self.sign_on, self.links))
            app.register_blueprint(self._team_pages(self.sign_on))
            app.register_blueprint(api(self.sign_on, self.work))
            machines = Machines(self.store, self.now)
            app.register_blueprint(team_api(self.store, self.desk, machines, self.names, self.now))
            if self.settings.sso.client_id:
                provider = Provider(self.settings, self.sign_on, self.store, self.totara, self.keys, self.now)
                app.register_blueprint(oidc(provider))
            answers_the_unknown(app, self.sign_on)
        inner: WSGIApplication = app.wsgi_app
        if hops := self.settings.server.trusted_proxies:  # of what proxies say, only who asks is of any use here
            inner = ProxyFix(inner, x_for=hops, x_proto=0, x_host=0)
        secrets, mark = Secrets(configured, self.kept_secrets), GroupMarker(self.work).mark
        if self.settings.stripe.webhook_secrets:
            inner = self._stripe_receiver(inner, mark)
        # How Flask is meant to be wrapped; to mypy it is a method that is put in another's place.
        app.wsgi_app = Receiver(inner, secrets, mark)  # type: ignore[method-assign]
        return app

    def _team_pages(self, sign_on: SignOn) -> Blueprint:
        """The pages of teams. They read from the shop what stands in its orders, and nobody waits for it for long."""
        shop = self._shop_by(_quick("shop", self.settings.shop.timeout_seconds))
        billings = Billings(shop, self.settings.teams.po_meta)
        zone = self.settings.mail.timezone
        return team_pages(
            sign_on, self.store, self.desk, self.invitations, self.names, billings, self.now, timezone=zone
        )

    @cached_property
    def names(self) -> Names:
        """What the courses are called, for pages, machines and letters, which don't wait for a name."""
        return Names(self._quick_totara)

    @cached_property
    def keys(self) -> SigningKeys:
        """The keys that sign for Totara."""
        return SigningKeys(self.store, self.now)

    @cached_property
    def sign_on(self) -> SignOn | None:
        """Signing in from the shop, where a secret is shared with its plugin."""
        if not self.settings.sso.shop_secrets:
            return None
        return SignOn(self.settings, self.store, self.work, self.totara, self.keys, self.names, self.now)

    @cached_property
    def links(self) -> MailedLinks | None:
        """Signing in by mailed links, beside signing in from the shop."""
        ways = WaysIn(self.settings)
        if not ways.open:
            return None
        return MailedLinks(self.store, self.work, self.mailer, self.addresses, ways, self.now)

    @cached_property
    def _quick_totara(self) -> TotaraClient:
        """Totara, for whoever does not wait for it for long."""
        return self._totara_by(_quick("totara", self.settings.totara.timeout_seconds))

    @cached_property
    def desk(self) -> Desk:
        """What teams do with their seats. Whoever waits for it does not wait for Totara for long."""
        starting = Starting(self.store, self._quick_totara)
        return Desk(self.store, self.work, starting, self.settings.teams.rules, self.now)

    @cached_property
    def invitations(self) -> Invitations:
        """What teams' people are asked, and what they answer."""
        ways, rules = WaysIn(self.settings), self.settings.teams.rules
        return Invitations(self.store, self.work, self.mailer, self.addresses, ways, rules, self.names, self.now)

    def _stripe_receiver(self, others: WSGIApplication, mark: Callable[[str, str], None]) -> StripeReceiver:
        config = self.settings.stripe
        signed = [secret.get_secret_value() for secret in config.webhook_secrets]
        return StripeReceiver(others, signed, mark, live=config.live, tolerance=config.tolerance_seconds)


def _quick(system: str, timeout: float) -> Wire:
    """A way to a system for whoever waits for the answer: asked once, and not for long."""
    return Wire(system, timeout=min(timeout, PATIENCE), tries=1, breaker=Breaker(system))
