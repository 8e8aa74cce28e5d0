"""Commands that keep running: run, serve, work; and migrate, which comes before them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from typing import Any

import click
import structlog
from gunicorn.app.base import BaseApplication

from bridge.commands.common import in_words, load_or_exit, opened, with_bridge
from bridge.settings import Settings
from bridge.store.db import migrate as migrate_store
from bridge.wiring import Bridge

log = structlog.get_logger()

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn, told what the settings say. With ``working`` the one web process also works and keeps the clock."""

    def __init__(self, settings: Settings, bind: str, *, working: bool) -> None:
        self._settings = settings
        self._bind = bind
        self._working = working
        self._stop: list[Any] = []
        super().__init__()

    def load_config(self) -> None:
        """See gunicorn's settings."""
        server = self._settings.server
        for name, value in {
            "bind": self._bind,
            "worker_class": "gthread",
            "workers": server.processes,
            "threads": server.threads,
            "timeout": 60,
            "graceful_timeout": int(self._settings.work.stop_seconds),
            "keepalive": 15,
            "accesslog": None,  # addresses are nobody's business
            "loglevel": "warning",
            "limit_request_line": 4094,
            "post_worker_init": self._begin,
            "worker_exit": self._end,
            "on_exit": lambda _server: shutil.rmtree(os.environ.get(METRICS_FOLDER, ""), ignore_errors=True),
            "control_socket_disable": True,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The application, made in the worker process: no connection crosses a fork."""
        self._bridge = Bridge(self._settings)
        return self._bridge.web()

    def _begin(self, _worker: Any) -> None:
        if self._working:
            worker, clock = self._bridge.worker(), self._bridge.clock()
            worker.start()
            clock.start()
            self._stop = [clock.stop, lambda: worker.stop(self._settings.work.stop_seconds)]
        log.info("listening", address=f"http://{self._bind}", working=self._working)

    def _end(self, _server: Any, _worker: Any) -> None:
        for stop in self._stop:
            stop()
        log.info("stopped")


def _serve(settings: Settings, bind: str | None, *, working: bool) -> None:
    if settings.server.processes > 1 and not os.environ.get(METRICS_FOLDER):
        # prometheus_client looks for this when it is first imported, which has happened: begin again with it.
        os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="bridge-metrics-")
        os.execv(sys.executable, [sys.executable, "-m", "bridge", *sys.argv[1:]])  # noqa: S606
    WebServer(settings, bind or settings.server.bind, working=working).run()


@click.command()
@click.option("--bind", metavar="HOST:PORT", help="Listen here instead of at server.bind.")
def run(bind: str | None) -> None:
    """Receive, work and keep the clock, all in one process.

    The embedded default: with SQLite, this is all there is to start. It brings the tables up to date first.

    \b
    Example:
      bridge run --bind 127.0.0.1:8080
    """
    settings = load_or_exit()
    with in_words(), opened(settings) as bridge:
        migrate_store(bridge.store)
    if settings.server.processes > 1:
        click.echo("bridge: `run` is one process; set server.processes to 1, or use `serve` and `work`", err=True)
        sys.exit(2)
    _serve(settings, bind, working=True)


@click.command()
@click.option("--bind", metavar="HOST:PORT", help="Listen here instead of at server.bind.")
@with_bridge
def serve(bridge: Bridge, bind: str | None) -> None:
    """Receive deliveries, and do none of the work.

    For PostgreSQL and more than one machine: any number of `bridge serve` and of `bridge work`, anywhere.

    \b
    Example:
      bridge serve --bind 0.0.0.0:8080
    """
    bridge.store.close()
    _serve(bridge.settings, bind, working=False)


@click.command()
@click.option("--threads", type=click.IntRange(1, 64), help="Work in so many threads instead of work.threads.")
@click.option("--metrics", metavar="HOST:PORT", help="Show this process's metrics here.")
@with_bridge
def work(bridge: Bridge, threads: int | None, metrics: str | None) -> None:
    """Do what is owed, and keep the clock, until told to stop.

    SIGTERM: takes on nothing new, finishes what it holds, and gives back what takes too long.

    \b
    Example:
      bridge work --threads 8 --metrics 127.0.0.1:9100
    """
    if threads:
        config = bridge.settings.work.model_copy(update={"threads": threads})
        bridge = Bridge(bridge.settings.model_copy(update={"work": config}))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if metrics:
        from prometheus_client import start_http_server

        host, _, port = metrics.rpartition(":")
        if not host or not port.isdigit():
            raise click.BadParameter("must be HOST:PORT", param_hint="--metrics")
        start_http_server(int(port), host)
    worker, clock = bridge.worker(), bridge.clock()
    worker.start()
    clock.start()
    log.info("working", threads=bridge.settings.work.threads)
    stopping.wait()
    clock.stop()
    worker.stop(bridge.settings.work.stop_seconds)
    log.info("stopped")


@click.command()
def migrate() -> None:
    """Bring the database's tables to this version's shape. May be run at any time, again too.

    \b
    Example:
      bridge migrate
    """
    with in_words(), opened(load_or_exit()) as bridge:
        migrate_store(bridge.store)
    click.echo("the database is up to date")
