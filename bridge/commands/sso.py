"""Operators' commands about signing in."""

from __future__ import annotations

import click

from bridge.commands.common import as_json, as_table, by_option, json_option, why_option, with_bridge
from bridge.domain.notes import day
from bridge.store import audit
from bridge.store.db import utc_now
from bridge.store.signon import KeptKey
from bridge.wiring import Bridge


@click.group()
def sso() -> None:
    """Signing in: the keys by which Totara knows that the bridge sent somebody."""


def _told(bridge: Bridge, event: str, key: KeptKey, by: str, why: str) -> None:
    with bridge.store.begin() as connection:
        audit.note(connection, event, why, utc_now(), actor=by, facts={"kid": key.kid})
    click.echo(f"key {key.kid} signs from {day(key.signs_from)} on")


@sso.command("keygen")
@by_option
@why_option("the first key")
@with_bridge
def sso_keygen(bridge: Bridge, by: str, why: str) -> None:
    """Make the first key. It signs at once.

    \b
    Example:
      bridge sso keygen
    """
    _told(bridge, "key made", bridge.keys.first(), by, why)


@sso.command("rotate")
@click.option("--at-once", is_flag=True, help="Forget the old keys now: they are not to be trusted any more.")
@by_option
@why_option("an operator made the next key")
@with_bridge
def sso_rotate(bridge: Bridge, at_once: bool, by: str, why: str) -> None:
    """Make the next key. It is published at once and signs in two hours, when everybody has heard of it.

    With --at-once it signs now, and what the old ones signed is refused; until Totara has fetched the new one, up to a
    minute, sign-ins fail.

    \b
    Example:
      bridge sso rotate
    """
    key = bridge.keys.rotate(at_once=at_once)
    bridge.keys.tidy()
    _told(bridge, "key made", key, by, why)


@sso.command("list")
@json_option
@with_bridge
def sso_list(bridge: Bridge, json_: bool) -> None:
    """The keys, the newest first: which one signs, and which are published.

    \b
    Example:
      bridge sso list
    """
    keys, now = bridge.keys.all(again=True), utc_now()
    published = {key.kid for key in bridge.keys.published()}
    signs = next((key.kid for key in keys if key.signs_from <= now), None)
    rows = [
        {"kid": key.kid, "signs": key.kid == signs, "published": key.kid in published, "signs_from": key.signs_from}
        for key in keys
    ]
    if json_:
        as_json(rows)
        return
    as_table(
        "Keys",
        ["key", "signs from", "now"],
        [
            (key.kid, day(key.signs_from), "signs" if key.kid == signs else "published" if key.kid in published else "")
            for key in keys
        ],
        "there is no key: `bridge sso keygen` makes the first",
    )
