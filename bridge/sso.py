"""Signing in from the shop, and on to Totara.

The shop vouches for a customer by a short-lived token of one use; what the customer bought is settled at once; the
browser gets a session with the bridge, and from there a token of ours for Totara, bound to its session there.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Connection

from bridge.admission import Barred, admitted
from bridge.domain.identity import Contact, How, Identity
from bridge.domain.lms import Account
from bridge.domain.targets import HOME, NOWHERE, RESUME, Place, Target, read_target
from bridge.errors import BadSignature, Refused, Unavailable
from bridge.keys import SigningKeys
from bridge.kinds import CUSTOMER, LEARNER, ORDER, PROGRESS
from bridge.last_in import LastIn
from bridge.my_courses import MyCourse, my_courses
from bridge.naming import Names
from bridge.often import Often
from bridge.progress import FRESH
from bridge.seen import OURS, Seen, not_yet, ready
from bridge.settings import Settings
from bridge.shop_tokens import Launch, ShopTokens
from bridge.store import audit, ledger, people, progress, signon, teams
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.signon import Entering, Visit, new_secret
from bridge.store.work import Work
from bridge.totara_client import TotaraClient
from bridge.ways_in import WaysIn
from bridge.who import prove, shop_tells, tells_news

log = structlog.get_logger()

#: Seconds that a token for Totara lives.
SITE_TOKEN_LIFE = 60
#: What the audit log calls it when Totara is told who somebody is. Whether Totara lets them in is in its own log.
ONWARD = "vouched for to Totara"
SIGNED_OUT = "signed out"
_SID = re.compile(r"[0-9a-f]{32}", re.ASCII)
#: Refusals of a minute that one process writes into the audit log.
MOST_REFUSALS = 100
USED = "it was used before"
#: These name no page of Totara: it goes on to the one that was wanted there.
_SAYS_NOTHING = (Place.RESUME, Place.COURSES, Place.TEAM)
#: For so long after somebody came in, any order that is still to be looked at may be theirs.
NEW_ORDERS = timedelta(minutes=2)
#: A visit is written down as seen at most this often.
SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CameIn:
    """Somebody whom the shop has vouched for, by the secret of their new session, and what they want to go to.
    ``onward`` is where they go, "" where that has to be looked at.
    """

    secret: str
    target: Target
    onward: str


@dataclass(frozen=True, slots=True)
class Vouched:
    """What Totara's plugin is told, and the account that it is told of."""

    token: str
    user_id: int


class SignOn:
    """Who may come in, and where they may go on to."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        work: Work,
        totara: TotaraClient,
        keys: SigningKeys,
        names: Names,
        now: Callable[[], datetime],
    ) -> None:
        config = settings.sso
        self._store = store
        self._work = work
        self._totara = totara
        self._keys = keys
        self._names = names
        self._now = now
        self.ways = WaysIn(settings)
        self.bridge_url, self.shop_url = self.ways.bridge_url, self.ways.shop_url
        self.site_url = settings.totara.url
        self.wait_seconds = config.wait_seconds
        self.by_plugin = config.way == "plugin"
        shop_secrets = [secret.get_secret_value() for secret in config.shop_secrets]
        self.tokens = ShopTokens(shop_secrets, self.shop_url, self.bridge_url, now)
        self.last_in = LastIn(shop_secrets, self.site_url)
        self._entering = Entering(store, work)
        self._refusing = Often(MOST_REFUSALS)
        self._idle = timedelta(minutes=config.idle_minutes)
        self._longest = timedelta(hours=config.session_hours)

    # --- coming in -------------------------------------------------------------------------------------------------

    def launch(self, token: str, origin: str, before: str = "") -> CameIn:
        """Let in whoever the shop vouches for.

        Only a page of the shop may hand the token over, so that nobody can be signed in as somebody else without
        noticing. What the customer bought is owed a look at once. ``before`` is the secret that the browser came with:
        that session ends. Raises BadSignature, after it was written down.
        """
        try:
            launch = self.tokens.launch(token)
            if origin != origin_of(self.shop_url):
                raise BadSignature("another page than the shop's sent it")
        except BadSignature as err:
            self.refused(str(err))
            raise
        try:
            return self._let_in(launch, before)
        except BadSignature as err:
            self.refused(str(err), customer=launch.customer_id)
            raise

    def _let_in(self, launch: Launch, before: str) -> CameIn:
        """Whoever the shop tells nothing new of, which is the usual case, comes in by a single write."""
        secret, now = new_secret(), self._now()
        with self._store.read() as connection:
            person = people.find_person(connection, Identity(launch.customer_id, None))
            news = person is None or tells_news(connection, person, launch)
            onward = "" if person is None else self._onward_at_once(connection, launch, person)
        if person is None or news:
            with self._store.begin() as connection:
                begins = self._begins(launch, secret, self._met(connection, launch, now), before, now)
                if not begins(connection):
                    raise BadSignature(USED)  # and so nothing was written
        elif not self._store.together(self._begins(launch, secret, person.id, before, now)):
            raise BadSignature(USED)
        self._store.bell.ring()
        return CameIn(secret, launch.target, onward)

    def _begins(
        self, launch: Launch, secret: str, person_id: int | None, before: str, now: datetime
    ) -> Callable[[Connection], bool]:
        """Begins a visit, if the token is used for the first time."""
        customer, target = launch.customer_id, launch.target
        made = (secret, person_id, customer, str(target), now)
        visit = signon.new_visit(*made, before=before, shop_session=launch.sid)
        facts = {"customer": customer, "target": str(target)}
        note = {**audit.entry("signed in", "by the shop", now, facts), "person_id": person_id}
        owed: list[tuple[str, object]] = [(CUSTOMER, customer)]
        owed += [(ORDER, target.id)] if target.place is Place.ORDER else []
        return self._entering.coming_in(f"launch {launch.jti}", launch.expires, visit, note, owed)

    def _onward_at_once(self, connection: Connection, launch: Launch, person: Person) -> str:
        """Where the browser goes on to without being asked anything: "" where what it came for is not there yet or is a
        page of ours, and where its cookies have to be looked at, which browsers do not send with the shop's form.
        """
        if not self.by_plugin or launch.target.place is Place.RESUME:
            return ""
        seen = ready(*self._where(connection, launch.target, person))
        return "" if seen is None or seen.target.place in OURS else self.onward(seen.target)

    def _met(self, connection: Connection, launch: Launch, now: datetime) -> int | None:
        """Who comes, if the ledger knows them. One whose address the shop has checked is written down, since what was
        bought with that address as a guest is theirs; one who has the address of a guest, since both may be the same,
        and an invitation asks for that; all others only once they have bought something.
        """
        who = Identity(launch.customer_id, None)
        shop_tells(self._store, connection, launch.customer_id, launch.email, now)
        person, guest = (people.find_person(connection, one) for one in (who, Identity(None, launch.email)))
        if not launch.email_verified and (person is not None or guest is None):
            return person.id if person else None
        contact = Contact(who, launch.email, launch.first_name, launch.last_name, launch.language)
        person_id = people.ensure_person(self._store, connection, contact, now)
        if launch.email_verified:
            prove(self._store, connection, person_id, launch.email, How.SHOP, now)
        return person_id

    def refused(self, why: str, **facts: object) -> None:
        """Write down that somebody was not let in. Ids only; the token itself is kept nowhere.

        Nobody can fill the audit log by knocking: beyond so many a minute they are only counted in the program's log.
        """
        if self._refusing():
            log.warning("sign-on refused too often to write down each", why=why)
            return
        with self._store.begin() as connection:
            audit.note(connection, "sign-on refused", why, self._now(), facts=facts)

    # --- being in --------------------------------------------------------------------------------------------------

    def visit(self, secret: str) -> Visit | None:
        """The visit of this session, if there is one that has not run out."""
        now = self._now()
        with self._store.read() as connection:
            found = signon.find_visit(connection, secret, seen_after=now - self._idle, began_after=now - self._longest)
        if found is not None and found.seen < now - SEEN_EVERY:
            with self._store.one_statement() as connection:
                signon.set_visit(connection, found.name, seen=now)
        return found

    def leave(self, visit: Visit) -> None:
        """End a visit."""
        with self._store.begin() as connection:
            signon.end_visit(connection, visit.name)
            audit.note(connection, SIGNED_OUT, "by the visitor", self._now(), person_id=visit.person_id)

    def signed_out_by_shop(self, customer_id: int, shop_session: str | None) -> int:
        """End the visits that began with a login which the shop has ended, all of the customer's for None; how many.

        All are also those that began with a link which was mailed to them, and links that were not opened yet.
        """
        with self._store.begin() as connection:
            ended = signon.end_visits_of_customer(connection, customer_id, shop_session)
            if shop_session is None:
                ended += self._end_links(connection, customer_id)
            if ended:
                facts = {"customer": customer_id, "visits": len(ended)}
                whose = next((one for one in ended if one is not None), None)
                audit.note(connection, SIGNED_OUT, "by the shop", self._now(), person_id=whose, facts=facts)
        return len(ended)

    def _end_links(self, connection: Connection, customer_id: int) -> list[int | None]:
        person = people.find_person(connection, Identity(customer_id, None), hold=True)
        if person is None:
            return []
        everybody = people.ids_of(connection, person.id)
        signon.forget_ways_in(connection, everybody)
        return signon.end_link_visits(connection, everybody)

    def signed_out_by_totara(self, sid: str) -> None:
        """End the visit that Totara was told to end by this, if there is one."""
        if not _SID.fullmatch(sid):
            return
        with self._store.read() as connection:  # whoever knocks with a number of their own makes nobody wait
            if not signon.is_sid(connection, sid):
                return
        with self._store.begin() as connection:
            ended = signon.end_visits_by_sid(connection, sid)
            if ended:
                audit.note(connection, SIGNED_OUT, "by Totara", self._now(), person_id=ended[0])

    def go_to(self, visit: Visit, target: Target) -> None:
        """Where this visit goes next."""
        with self._store.one_statement() as connection:
            signon.set_visit(connection, visit.name, target=str(target))

    def person(self, connection: Connection, visit: Visit) -> Person | None:
        """Who visits; None for a customer of whom the ledger knows nothing yet."""
        if visit.customer_id is not None:
            return people.find_person(connection, Identity(visit.customer_id, None))
        if visit.person_id is None:
            return None
        return people.get_person(connection, people.living_id(connection, visit.person_id))

    def person_id(self, visit: Visit) -> int | None:
        """The same, by their id."""
        with self._store.read() as connection:
            person = self.person(connection, visit)
        return person.id if person else None

    def user_id(self, visit: Visit) -> int | None:
        """The visitor's account in Totara."""
        with self._store.read() as connection:
            person = self.person(connection, visit)
        return person.totara_id if person else None

    def is_anothers(self, visit: Visit, mark: str) -> bool:
        """Whether a browser with this mark may still be another's at Totara, where nothing would notice: the plugin
        there ends the session of another by itself.
        """
        user_id = None if self.by_plugin else self.user_id(visit)
        return user_id is not None and self.last_in.is_anothers(mark, user_id)

    def look(self, visit: Visit) -> Seen:
        """How it stands with what the visitor came for. Read from the ledger: nobody is asked."""
        with self._store.read() as connection:
            # Where all is there, nothing that is still being looked at matters.
            if there := ready(*self._what(connection, visit)):
                return there
            busy = self._busy(connection, visit)
            # What was done between the questions is told by this second look.
            target, person, courses = self._what(connection, visit)
            return ready(target, person, courses) or not_yet(target, courses, busy)

    def _what(self, connection: Connection, visit: Visit) -> tuple[Target, Person | None, list[MyCourse]]:
        """Where a visit leads to, whose it is, and what courses they have."""
        return self._where(connection, read_target(visit.target), self.person(connection, visit))

    def _where(
        self, connection: Connection, target: Target, person: Person | None
    ) -> tuple[Target, Person | None, list[MyCourse]]:
        """The same of what a person wants to go to."""
        courses = self._courses(connection, person)
        if target.place is Place.ORDER:
            target = self._of_order(connection, target, person, courses)
        return target, person, courses

    def _leads_to(self, visit: Visit, person: Person) -> Target:
        """The page that the visitor came for: only of an order the ledger has to be asked."""
        target = read_target(visit.target)
        if target.place is not Place.ORDER:
            return target
        with self._store.read() as connection:
            return self._of_order(connection, target, person, self._courses(connection, person))

    def _of_order(
        self, connection: Connection, target: Target, person: Person | None, courses: list[MyCourse]
    ) -> Target:
        """Where an order leads to: to its one course, or else to the list; of somebody else's, to nothing of it."""
        row = ledger.find_order(connection, target.id)
        if person is None or row is None or row.person_id != person.id:
            return HOME
        given = ledger.items_of_order(connection, target.id)
        of_it = [course.target for course in courses if course.item in given]
        return of_it[0] if len(of_it) == 1 else Target(Place.COURSES)

    def _busy(self, connection: Connection, visit: Visit) -> bool:
        """Whether something is still being looked at that could change what the visitor sees.

        Asked in the order in which one look has the next one owed, or one that is handed on meanwhile would be missed.
        """
        customer = visit.customer_id
        if customer is not None and self._work.is_due(connection, CUSTOMER, str(customer)):
            return True
        # Which orders are theirs is not known before they were looked at. Others' are no reason to wait for long.
        if visit.began > self._now() - NEW_ORDERS and self._work.is_due(connection, ORDER):
            return True
        person = self.person(connection, visit)
        return person is not None and self._work.is_due(connection, LEARNER, str(person.id))

    def courses(self, visit: Visit, language: str) -> list[MyCourse]:
        """Everything that the visitor bought, or was given, called as it is in this language."""
        return self._listed(lambda connection: self.person(connection, visit), language)

    def teams_of(self, customer_id: int) -> int:
        """How many teams a customer of the shop helps manage."""
        with self._store.read() as connection:
            person = people.find_person(connection, Identity(customer_id, None))
            return len(teams.teams_of(connection, person.id)) if person else 0

    def courses_of(self, customer_id: int, language: str) -> list[MyCourse]:
        """The same of a customer of the shop."""
        who = Identity(customer_id, None)
        return self._listed(lambda connection: people.find_person(connection, who), language)

    def _listed(self, who: Callable[[Connection], Person | None], language: str) -> list[MyCourse]:
        """As they are known now. How far the person is in them is read, if it was not of late, for the next look:
        nobody waits for Totara.
        """
        with self._store.read() as connection:
            person = who(connection)
            found = self._courses(connection, person)
            old = person is not None and progress.is_old(connection, person.id, self._now() - FRESH)
        if person is not None and old:
            with suppress(Unavailable):
                self._work.mark_recurring(PROGRESS, str(person.id), 0)
        own = self._names.apart([course.item for course in found if course.of_several], language, picked=True)
        return [course.called(own[course.item]) if course.item in own else course for course in found]

    def _courses(self, connection: Connection, person: Person | None) -> list[MyCourse]:
        return my_courses(connection, person.id, self._now()) if person else []

    def is_form_of(self, visit: Visit, word: str) -> bool:
        """Whether a form is one of ours, given to this visitor."""
        return secrets.compare_digest(visit.form.encode(), word.encode("utf-8", "replace"))

    # --- going on --------------------------------------------------------------------------------------------------

    def onward(self, target: Target) -> str:
        """Where a browser is sent that goes on to Totara: to its plugin, or straight to the page, whose sign-in then
        comes to our OpenID provider.
        """
        return f"{self.site_url}/auth/bridge/start.php" if self.by_plugin else f"{self.site_url}{target.path}"

    def site_token(self, visit: Visit, nonce: str) -> Vouched | None:
        """A token for Totara's plugin, bound to the browser's session there; None for a visit that has ended
        meanwhile. Raises Refused, written down; Barred if there is an account.

        The bridge vouches for accounts of its ledger only, and asks for their state first; Totara's plugin looks once
        more. What the visitor came for is gone to once: whoever signs in again from Totara's own pages comes for the
        page they wanted there, which Totara remembers.
        """
        person = visit.visitor
        if person is None or person.totara_id is None:
            raise Refused("there is no account yet")
        target = self._leads_to(visit, person)
        account = self.admitted(person)
        now = int(self._now().timestamp())
        claims = {
            "iss": self.bridge_url,
            "aud": self.site_url,
            "sub": str(person.totara_id),
            "username": account.username,
            "nonce": nonce,
            "target": NOWHERE if target.place in _SAYS_NOTHING else target.path,
            "iat": now,
            "exp": now + SITE_TOKEN_LIFE,
            "jti": secrets.token_hex(16),
        } | ({"sid": visit.sid} if visit.sid else {})
        try:
            token = self._keys.sign(claims, "site+jwt")
        except Refused as err:
            self.refused(str(err))
            raise
        return Vouched(token, person.totara_id) if self._went_on(visit, person, target) else None

    def admitted(self, person: Person, *, named: str = "") -> Account:
        """The person's account, if they may be signed in to it. Raises Barred, written down."""
        try:
            return admitted(self._totara, person, named=named)
        except Refused as err:
            self.refused(str(err), person=person.id, user=person.totara_id)
            raise Barred(str(err)) from err

    def _went_on(self, visit: Visit, person: Person, target: Target) -> bool:
        facts = {"user": person.totara_id, "target": str(target)}
        note = {**audit.entry(ONWARD, "by the plugin", self._now(), facts), "person_id": person.id}
        return self._store.together(self._entering.going_on(visit.name, str(RESUME), note))


@lru_cache(maxsize=16)
def origin_of(url: str) -> str:
    """The origin of an address, as browsers write it."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    port = f":{parts.port}" if parts.port and parts.port != default else ""
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
