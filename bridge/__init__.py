"""The bridge between Totara and WooCommerce: courses on sale there, orders become enrolments here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from bridge.settings import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """The web application, for any WSGI server. Settings come from the file and the environment if not given."""
    from bridge.settings import load
    from bridge.wiring import Bridge

    return Bridge(settings or load()).web()
