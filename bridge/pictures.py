"""Course pictures for the shop to fetch when it takes on a product. Only pictures of courses on sale are ever here."""

from __future__ import annotations

from flask import Blueprint, Response, abort
from sqlalchemy import select

from bridge.store.db import Store
from bridge.store.models import pictures as table


def pictures(store: Store) -> Blueprint:
    """``GET /pictures/<name>``: names are hashes of the content, so an answer never changes."""
    blueprint = Blueprint("pictures", __name__)

    @blueprint.get("/pictures/<name>")
    def picture(name: str) -> Response:
        with store.read() as connection:
            row = connection.execute(select(table.c.body, table.c.mime).where(table.c.name == name)).first()
        if row is None:
            abort(404)
        answer = Response(row.body, mimetype=row.mime)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Content-Security-Policy"] = "default-src 'none'"
        return answer

    return blueprint
