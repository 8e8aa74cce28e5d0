"""The guided tour: what the bridge is for, step by step, each step checked against what the shop and Totara hold.

Nothing that the bridge says of itself counts as proof here.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import requests

from bridge.sandbox.looking import Looking, Wrong
from bridge.sandbox.tour_team import TeamTour
from bridge.sandbox.walker import Walker


@dataclass(frozen=True, slots=True)
class Step:
    """A step and how it went. ``found`` says what was seen, in words."""

    name: str
    told: str
    ok: bool
    seconds: float
    found: str

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


class Tour(Looking):
    """The steps."""

    def steps(self) -> Iterator[Step]:
        """Take each step; goes on after a failure, so that everything wrong is seen at once."""
        for step in (
            self.catalogue,
            self.member_courses_stay_away,
            self.guest,
            self.customer,
            self.one_click,
            self.mailed_link,
            self.told_twice,
            self.bank_transfer,
            self.declined_then_paid,
            self.outage,
            self.officer,
            self.seats,
            self.cancelled,
            self.bundle,
            self.part_refunded,
            *TeamTour(self._town, self._patience).steps(),
            self.subscription,
            self.disputed,
            self.restarted,
            self.nobody_was_disturbed,
        ):
            began = time.monotonic()
            told = " ".join((step.__doc__ or "").split())
            try:
                found, ok = step(), True
            except (Wrong, LookupError) as err:  # also a page without the link or the form that it should have
                found, ok = str(err), False
            yield Step(step.__name__, told, ok, round(time.monotonic() - began, 2), found)

    # --- the steps -------------------------------------------------------------------------------------------------

    def catalogue(self) -> str:
        """The courses that a rule selects appear in the shop: priced ones on sale, the others as drafts."""
        on_sale, draft = ("INTRO", "VAL", "HS1", "HS2", "TRANSIT"), ("AEO",)
        self._until("all selected courses in the shop", lambda: all(self._product(c) for c in (*on_sale, *draft)))
        for codes, status in ((on_sale, "publish"), (draft, "draft")):
            wrong = [code for code in codes if (self._product(code) or {}).get("status") != status]
            if wrong:
                raise Wrong(f"{', '.join(wrong)} should be {status}")
        if not (self._product("INTRO") or {}).get("images"):
            raise Wrong("INTRO has no picture")
        return f"{len(on_sale)} on sale, {len(draft)} as draft, with pictures and categories"

    def member_courses_stay_away(self) -> str:
        """Restricted courses, hidden ones and the members' own are not in the shop at all."""
        there = [code for code in ("RISK", "DRAFT", "MEM") if self._product(code)]
        if there:
            raise Wrong(f"{', '.join(there)} got into the shop")
        return "none of three is in the shop"

    def guest(self) -> str:
        """A guest buys a course by card, and can begin."""
        self._town.plugin.muted = True  # so that a webhook has to tell of it
        self._buy("INTRO", email="Gina.Guest@buyer.example", first_name="Gina", last_name="Guest")
        found = self._begins("gina.guest@buyer.example", "INTRO")
        self._town.plugin.muted = False
        return found

    def customer(self) -> str:
        """A registered customer buys two courses in one order, and can begin both."""
        customer = self._shop.add_customer("nia@trader.example", "Nia", "Trader")
        products = [self._product(code) for code in ("HS1", "TRANSIT")]
        self._shop.place_order(
            [(p["id"], 1) for p in products if p], customer_id=customer, email="bills@trader.example"
        )
        self._begins("nia@trader.example", "HS1")
        found = self._begins("nia@trader.example", "TRANSIT")
        if self._totara.user_by_email("bills@trader.example"):
            raise Wrong("an account was made for the address of the bill")
        return f"{found}, and HS1; the account has the customer's address, not the bill's"

    def one_click(self) -> str:
        """From the order into the course by one click, without a password: the new account is signed in to Totara."""
        product, walker = self._product("VAL"), Walker()
        if product is None:
            raise Wrong("VAL is not in the shop")
        who = {"first_name": "Kofi", "last_name": "Click", "email": "kofi@click.example", "account": "yes"}
        bought = walker.send(f"{self._town.shop_url}/buy", product=product["id"], payment="card", quantity=1, **who)
        return self._in_course(walker, walker.click(bought, "Start learning"), "kofi@click.example", "VAL")

    def mailed_link(self) -> str:
        """A guest is written to when access is ready, asks for a link by mail, and is in the course by it."""
        walker, who = Walker(), "lena@mailed.example"
        self._buy("TRANSIT", email=who, first_name="Lena", last_name="Link")
        form = walker.go(self._mailed(who, "Your access to “Transit procedures” is ready", "/sso/link"))
        if not walker.send(form.url, address=who).ok:
            raise Wrong("the bridge did not take the address")
        link = self._mailed(who, "Your link to sign in", "/sso/link/open#")
        courses = walker.send(link.partition("#")[0], link=link)
        found = self._in_course(walker, walker.press(courses), who, "TRANSIT")
        if Walker().send(link.partition("#")[0], link=link).ok:
            raise Wrong("the link could be used a second time")
        return f"{found}; the link works no more, and the letter that access is ready came before it"

    def told_twice(self) -> str:
        """Every delivery arrives a second time; nothing is given twice."""
        self._shop.deliver()
        before = len(self._totara.users)
        order = max(self._shop.orders)
        for delivery in list(self._shop.deliveries)[-5:]:
            requests.post(
                f"{self._town.url}/webhooks/woocommerce",
                data=delivery["body"],
                headers=delivery["headers"],
                timeout=10,
            ).raise_for_status()
        time.sleep(1.0)
        notes = [n for n in self._shop.notes.get(order, []) if "Learning access" in n["note"]]
        if len(self._totara.users) != before or len(notes) != 1:
            raise Wrong(f"{len(self._totara.users) - before} accounts more, {len(notes)} notes on the order")
        return "no account more, and one note on the order"

    def bank_transfer(self) -> str:
        """A bank transfer gives nothing until the staff have seen the money."""
        order = self._buy("VAL", email="tom@transfer.example", first_name="Tom", payment="bacs")
        time.sleep(2.0)
        if self._totara.user_by_email("tom@transfer.example"):
            raise Wrong("an account was made before the money came")
        self._shop.set_status(order, "processing")
        return self._begins("tom@transfer.example", "VAL")

    def declined_then_paid(self) -> str:
        """A declined card gives nothing; the second try pays the same order."""
        order = self._buy("VAL", email="dora@declined.example", first_name="Dora", payment="declined")
        time.sleep(1.5)
        if self._totara.user_by_email("dora@declined.example"):
            raise Wrong("an account was made for a declined card")
        self._shop.pay_order(order)
        return self._begins("dora@declined.example", "VAL")

    def outage(self) -> str:
        """Totara is down when somebody buys. Nothing is lost: access comes when Totara does."""
        self._totara.faults.down()
        self._buy("HS2", email="olga@outage.example", first_name="Olga")
        time.sleep(3.0)
        if self._totara.user_by_email("olga@outage.example"):
            raise Wrong("Totara was not down after all")
        self._totara.faults.clear()
        return self._begins("olga@outage.example", "HS2")

    def officer(self) -> str:
        """Somebody buys with a member officer's address. An address proves nothing: the account is left alone."""
        address = "ama.mensah@memberland.example"
        officer = self._totara.user_by_email(address)
        before = {key: e.status for key, e in self._totara.enrolments.items() if officer and key[0] == officer.id}
        order = self._buy("VAL", email=address, first_name="Ama", last_name="Mensah")
        note = self._until(
            "a note that says why the seat waits",
            lambda: next((n["note"] for n in self._shop.notes.get(order, []) if "waiting" in n["note"]), None),
        )
        after = {key: e.status for key, e in self._totara.enrolments.items() if officer and key[0] == officer.id}
        same = [u for u in self._totara.users.values() if u.email.lower() == address]
        if after != before or len(same) != 1:
            raise Wrong("the officer's account was touched")
        return f"untouched; the order says: {note}"

    def seats(self) -> str:
        """A company buys five seats: they stay open, to be given to its people, and nobody is enrolled by guesswork."""
        order = self._buy("INTRO", 5, email="training@company.example", first_name="Carla", company="Company Ltd")
        note = self._until(
            "a note about open seats",
            lambda: next((n["note"] for n in self._shop.notes.get(order, []) if "open seat" in n["note"]), None),
        )
        if self._totara.user_by_email("training@company.example"):
            raise Wrong("the buyer was enrolled")
        if "5 ×" not in note:
            raise Wrong(f"not five seats: {note}")
        return str(note)

    def cancelled(self) -> str:
        """An order is cancelled: access is suspended, not deleted. Completed again: access is back."""
        order = self._buy("VAL", email="carl@cancelled.example", first_name="Carl")
        self._begins("carl@cancelled.example", "VAL")
        self._shop.set_status(order, "cancelled")
        self._until("access suspended", lambda: self._access("carl@cancelled.example", "VAL") == "suspended")
        self._shop.set_status(order, "completed")
        self._begins("carl@cancelled.example", "VAL")
        return "suspended, then active again"

    def bundle(self) -> str:
        """A bundle of two products, one of which gives both courses by its own meta: nothing is given twice."""
        gives = ", ".join(f"course:{self._town.ids[code]}" for code in ("HS1", "HS2"))
        both = self._shop.add_product("Classification, complete", price="300.00", meta={"bridge_gives": gives})
        bundle = self._shop.add_bundle("Classification, and once more", [both, self._sold("HS1")], price="310.00")
        order = self._shop.place_order([(bundle, 1)], email="bea@bundle.example", first_name="Bea", last_name="Bundle")
        self._begins("bea@bundle.example", "HS1")
        said = f"{self._begins('bea@bundle.example', 'HS2')}, and HS1"
        if (note := self._note(order, "access ready")).count("access ready") != 2:
            raise Wrong(f"something was given twice, or not at all: {note}")
        return said

    def part_refunded(self) -> str:
        """Two of five seats are refunded: open seats go, and whoever learns is left alone."""
        given = {"product_id": self._sold("INTRO"), "quantity": 5, "meta": {"_bridge_gift_to": "pia@parts.example"}}
        order = self._shop.place_order([given], email="parts@company.example", first_name="Paul", company="Parts Ltd")
        line = self._shop.orders[order]["line_items"][0]["id"]
        self._begins("pia@parts.example", "INTRO")
        self._note(order, "4 × open seat")
        self._shop.refund(order, lines={line: 2})
        note = self._note(order, "2 × open seat")
        if self._access("pia@parts.example", "INTRO") != "active":
            raise Wrong("somebody who learns has lost the seat, though others were open")
        return note

    def subscription(self) -> str:
        """A subscription's renewal fails: access goes on for the days of grace, then rests. Paid after all: back."""
        product = self._shop.add_product(
            "Learning pass", type="subscription", period="month", price="15.00", sku="learning-pass",
            meta={"bridge_gives": f"course:{self._town.ids['VAL']}"},
        )  # fmt: skip
        who = "sam@subscriber.example"
        customer = self._shop.add_customer(who, "Sam", "Subscriber")
        order = self._shop.place_order([(product, 1)], customer_id=customer, email=who)
        self._begins(who, "VAL")
        (subscription,) = self._shop.subscriptions_of(order)
        renewal = self._shop.renew(subscription, "declined")
        self._note(renewal, "access ready for Totara user")
        if self._access(who, "VAL") != "active":
            raise Wrong("access was taken at once, without days of grace")
        self._until("access at rest after the days of grace", lambda: self._access(who, "VAL") == "suspended")
        self._shop.pay_order(renewal)
        return f"suspended, then again: {self._begins(who, 'VAL')}"

    def disputed(self) -> str:
        """The buyer's bank takes a payment back: access rests while it is in dispute, and is back when that is won."""
        order = self._buy("HS2", email="dan@dispute.example", first_name="Dan", last_name="Dispute")
        self._begins("dan@dispute.example", "HS2")
        dispute = self._town.stripe.dispute(self._shop.orders[order]["transaction_id"])
        self._until("access at rest", lambda: self._access("dan@dispute.example", "HS2") == "suspended")
        self._town.stripe.win(dispute["id"])
        return f"suspended, then again: {self._begins('dan@dispute.example', 'HS2')}"

    def restarted(self) -> str:
        """The bridge is killed while somebody buys, and started again: the order was not lost."""
        self._town.stop_bridge(signal.SIGKILL)
        self._buy("HS1", email="rita@restart.example", first_name="Rita")
        self._shop.deliver()
        if self._totara.user_by_email("rita@restart.example"):
            raise Wrong("the bridge was not down after all")
        self._town.start_bridge()
        return self._begins("rita@restart.example", "HS1")

    def nobody_was_disturbed(self) -> str:
        """The members' officers have exactly what they had."""
        town = self._town
        had = {("officer_ama", "MEM"), ("officer_ama", "RISK"), ("officer_ama", "HS1"), ("officer_bo", "MEM")}
        now = {
            (who, code)
            for who in ("officer_ama", "officer_bo")
            for code in ("INTRO", "VAL", "HS1", "HS2", "TRANSIT", "AEO", "RISK", "MEM")
            if (e := self._totara.enrolments.get((town.ids[who], town.ids[code]))) and e.status == "active"
        }
        if now != had:
            raise Wrong(f"their enrolments differ: {sorted(now ^ had)}")
        return "two officers, four enrolments, all as before"
