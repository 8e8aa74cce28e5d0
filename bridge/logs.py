"""Logs: one line an event, to standard error, as JSON or as text. Ids only; never an address, a secret or a URL."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def set_up(level: str = "info", form: str = "json") -> None:
    """Send our events and the libraries' warnings to standard error."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = [
        # Without the values of local variables: they hold orders, and so people.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        if form == "json"
        else structlog.dev.set_exc_info,
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[*_drop_meta(), *last], foreign_pre_chain=[*shared])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Below a warning, urllib3 writes down whole addresses, signatures and all.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    # And in one warning ("Failed to parse headers (url=…)") as well.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
    # Below a warning, Stripe's library writes down whole answers, and with them who paid.
    logging.getLogger("stripe").setLevel(logging.WARNING)


def _drop_meta() -> list[structlog.types.Processor]:
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
