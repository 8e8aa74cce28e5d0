"""What every test may ask for."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
import responses
from click.testing import CliRunner, Result
from playwright.sync_api import Browser, Page

from bridge.cli import main
from bridge.sandbox.town import Town
from bridge.store.db import Store, migrate
from tests import thrift
from tests.browser import DESK, NewPage, find_chromium, is_outside, launched
from tests.postgres import Cluster, Emptier, find_binaries
from tests.test_mail import Inbox, Server
from tests.test_story_letters import mail
from tests.test_story_sign_on import SECRET
from tests.wordpress import WordPress, what_is_missing
from tests.world import Offering, Run, World, environment, logging_kept

NEEDED = os.environ.get("REQUIRE_SERVICES") == "1"


def pytest_configure() -> None:
    """Before anything is made."""
    thrift.keep_files_in_memory()


def pytest_collection_finish() -> None:
    """When all modules are loaded."""
    thrift.collect_rarely()


def not_here(message: str) -> NoReturn:
    """Skip what this machine can't run, or fail where nothing may be skipped."""
    if NEEDED:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """What is the same for every test."""
    with ExitStack() as all_of_it:
        all_of_it.enter_context(thrift.routes_compiled_once())
        all_of_it.enter_context(thrift.statements_compiled_once())
        all_of_it.enter_context(thrift.templates_compiled_once())
        all_of_it.enter_context(thrift.keys_used_again())
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server."""
    binaries = find_binaries()
    if binaries is None:
        not_here("no PostgreSQL server on this machine: apt-get install postgresql")
    running = Cluster(binaries)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgresql_url(cluster: Cluster) -> str:
    """A migrated database, emptied by whoever uses it."""
    url = cluster.create("bridge")
    store = Store(url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(store)
    store.close()
    return url


@pytest.fixture(scope="session")
def emptier(postgresql_url: str) -> Iterator[Emptier]:
    """Empties that database."""
    made = Emptier(postgresql_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite3"
    store = Store(f"sqlite:///{path}")
    migrate(store)
    store.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database of each kind: the test runs on both."""
    if request.param == "sqlite":
        request.getfixturevalue("migrated_sqlite")
        url = f"sqlite:///{tmp_path / 'bridge.sqlite3'}"
    else:
        url = request.getfixturevalue("postgresql_url")
    empty(url, request)
    return url


def empty(url: str, request: pytest.FixtureRequest) -> None:
    """Bring a database to the state of having just been migrated."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return
    request.getfixturevalue("emptier").empty()


@pytest.fixture
def reset_database(database: str, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Empties the test's database."""
    return lambda: empty(database, request)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A store on each database."""
    opened = Store(database.replace("postgresql://", "postgresql+psycopg://"))
    yield opened
    opened.close()


@pytest.fixture
def make_world(database: str) -> Iterator[Callable[..., World]]:
    """Worlds with settings of the test's own."""
    made: list[World] = []

    def make(**sections: Any) -> World:
        made.append(World(database, **sections))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world as most tests want it."""
    return make_world()


@pytest.fixture
def inbox() -> Inbox:
    """What a mail server was given."""
    return Inbox()


@pytest.fixture
def server(inbox: Inbox) -> Iterator[Server]:
    """A mail server."""
    running = Server(inbox)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def world_with_letters(make_world: Callable[..., World], server: Server) -> World:
    """A world in which people sign in from the shop, and are written to."""
    made = make_world(sso={"shop_secrets": [SECRET], "wait_seconds": 0}, mail=mail(server))
    made.bridge.keys.first()
    return made


@pytest.fixture
def offers(world: World, tmp_path: Path) -> Offering:
    """Has the operator write the offers file, and the bridge begin anew with it."""

    def write(text: str) -> None:
        path = tmp_path / "offers.toml"
        path.write_text(text, encoding="utf-8")
        world.restart(orders={"offers_file": str(path)})

    return write


@pytest.fixture
def bridge_command(world: World) -> Run:
    """Runs `bridge …` with the world's settings."""

    def run(*arguments: str, **more: str) -> Result:
        # As wide as a terminal of somebody who reads tables, and without a colour.
        settings = {**environment(world, **more), "COLUMNS": "200", "NO_COLOR": "1"}
        with logging_kept():
            return CliRunner().invoke(main, list(arguments), env=settings, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def storefront_packages() -> None:
    """What a real shop on this machine needs: skips without it, or fails where nothing may be skipped."""
    if missing := what_is_missing():
        not_here(f"not on this machine: apt-get install {' '.join(missing)}")


@pytest.fixture(scope="session")
def php_program() -> str:
    """Where PHP's command line is."""
    return shutil.which("php") or not_here("no PHP on this machine: apt-get install php-cli")


@pytest.fixture(scope="module")
def wordpress(storefront_packages: None) -> Iterator[WordPress]:
    """A real WordPress, with the shop's plugin."""
    running = WordPress()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser."""
    with launched(find_chromium() or not_here("no Chromium on this machine: apt-get install chromium")) as running:
        yield running


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[NewPage]:
    """Opens pages, each with cookies of its own. Fails where one asked for something of another machine."""
    opened: list[Page] = []
    asked: list[str] = []

    def open_page(**options: Any) -> Page:
        page = chromium.new_page(**{"viewport": DESK, "locale": "en", **options})
        page.context.on("request", lambda request: asked.append(request.url))
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert [url for url in asked if is_outside(url)] == [], "another machine was asked"


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page in a window as on a desk."""
    return new_page()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """What ``make run`` runs. For a browser, Totara is another site than shop and bridge, as on the internet."""
    with Town(tmp_path, port=0, quiet=True, totara_host="localhost") as running:
        yield running


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """The wire that ``requests`` speaks on: what a test does not answer is no connection."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def logging_undone() -> Iterator[None]:
    """For a test that sets up logging as the bridge does: afterwards it is as it was."""
    with logging_kept():
        yield


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """So that a test can look for what must not be there."""
    caplog.set_level(logging.DEBUG)
