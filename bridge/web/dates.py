"""Days as readers write them."""

from __future__ import annotations

from datetime import datetime, timedelta

from babel.dates import format_date


def day(moment: datetime, language: str) -> str:
    """The day of a moment, in UTC: "Nov 24, 2026"."""
    return format_date(moment.date(), "medium", locale=language)


def last_day(end: datetime, language: str) -> str:
    """The last day before an end: what ends at midnight has the day before for its last."""
    return day(end - timedelta(microseconds=1), language)
