"""What the first run shows: a small customs academy in Totara."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from bridge.sandbox.totara import Totara


def picture(colour: int, width: int = 320, height: int = 180) -> bytes:
    """A small PNG: a shade of ``colour`` (0xRRGGBB) that darkens downwards, with a lighter disc."""
    red, green, blue = colour >> 16, colour >> 8 & 255, colour & 255
    rows = bytearray()
    for y in range(height):
        shade = 1 - 0.5 * y / height
        dark = bytes(int(part * shade) for part in (red, green, blue))
        light = bytes(min(255, part + 40) for part in dark)
        rows.append(0)
        inside = (height / 3) ** 2 - (y - height / 2) ** 2
        half = int(max(inside, 0) ** 0.5)
        edge = width * 3 // 4
        rows += dark * (edge - half) + light * (2 * half) + dark * (width - edge - half)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = zlib.compress(bytes(rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", image) + chunk(b"IEND", b"")


def both(english: str, french: str) -> str:
    """A text in two languages, as Totara's editor writes it."""
    spans = (("en", english), ("fr", french))
    return "".join(f'<span lang="{lang}" class="multilang">{text}</span>' for lang, text in spans)


def seed_academy(totara: Totara) -> dict[str, int]:
    """Furnish an empty Totara as a customs academy. Gives the ids of what it made, by short names.

    Tenants ``academy`` (where the shop's customers belong) and ``memberland`` (whose officers are taught for
    free and must never notice the shop); public categories, one restricted, and courses of each kind.
    """
    totara.sitename = "Customs Academy"
    ids = {
        "tenant_academy": totara.add_tenant("academy", "Academy"),
        "tenant_memberland": totara.add_tenant("memberland", "Customs of Memberland"),
        "basics": totara.add_category("Customs basics", idnumber="basics"),
        "trade": totara.add_category("Trade facilitation", idnumber="trade"),
        "enforcement": totara.add_category("Enforcement (restricted)", idnumber="enforcement"),
    }
    ids["classification"] = totara.add_category("Classification", parent=ids["basics"], idnumber="classification")
    ids["academy"] = totara.tenants[ids["tenant_academy"]].category_id
    ids["memberland"] = totara.tenants[ids["tenant_memberland"]].category_id

    def course(code: str, category: str, name: str, summary: str, colour: int | None = None, **more: Any) -> None:
        ids[code] = totara.add_course(
            name,
            shortname=code,
            category=ids[category],
            idnumber=f"SKU-{code}",
            summary=summary,
            image=None if colour is None else picture(colour),
            image_name=f"{code.lower()}.png",
            **more,
        )

    english, french = "Why goods are declared, and how.", "Pourquoi et comment on déclare les marchandises."
    steps = {"lessons": ["Reading", "Cases", "Test"], "certificate": "Certificate"}
    course("INTRO", "basics", "Introduction to customs", f"<p>{both(english, french)}</p>", 0x1D6F8A, **steps)
    name = both("Customs valuation & origin", "Valeur en douane et origine")
    english, french = "What goods are worth, and where from.", "Ce que valent les marchandises, et d'où."
    course("VAL", "basics", name, f"<p>{both(english, french)}</p>", 0x8A5A1D, **steps)
    name = both("Harmonized System: first steps", "Système harmonisé : premiers pas")
    english, french = "Six digits that rule trade.", "Six chiffres qui régissent le commerce."
    course("HS1", "classification", name, f"<p>{both(english, french)}</p><ul><li>Quiz</li></ul>", 0x2D6A4F)
    summary = "<p>Rules of interpretation, with forty cases from <b>practice</b>.</p>"
    course("HS2", "classification", 'Harmonized System: the "hard" chapters', summary, 0x40916C)
    summary = "<p>Guarantees, documents and controls of goods on their way.</p>"
    course("TRANSIT", "trade", "Transit procedures", summary, 0x6A2D5B)
    course("AEO", "trade", "Authorised economic operators", "<p>What it takes, and what it brings.</p>")
    summary = "<p>For officers only.</p>"
    course("RISK", "enforcement", "Risk profiling", summary, 0x8A1D1D, audiencevisible=1)
    course("DRAFT", "trade", "Single window (draft)", "<p>Not released.</p>", visible=0, audiencevisible=3)
    summary = "<p>House rules and contacts of our own staff.</p>"
    course("MEM", "memberland", "Memberland: induction of officers", summary, 0x1D3A8A)

    def officer(email: str, first: str, last: str, *courses: str) -> int:
        made = totara.add_user(email, firstname=first, lastname=last, tenant="memberland")
        for code in courses:
            totara.enrol(made, ids[code])
        return made

    ids["officer_ama"] = officer("ama.mensah@memberland.example", "Ama", "Mensah", "MEM", "RISK", "HS1")
    ids["officer_bo"] = officer("bo.lindqvist@memberland.example", "Bo", "Lindqvist", "MEM")
    totara.complete(ids["officer_ama"], ids["MEM"])
    ids["administrator"] = 2
    return ids
