"""Two real sites, run as ``make run`` runs them, and real people with a real browser.

``plain`` is a site without a homeserver, as it is after its first start: every test finds nothing
filled in. ``school`` is a site with a Synapse of its own, connected by its first start; its tests
make courses of their own and leave the connection as they found it. A test fails when a page
wrote an error to the browser's console (a broken Content-Security-Policy shows there) or when one
of the site's processes said "Traceback".

Tests of one site run in one worker (``xdist_group``): the site is started once.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from commweb.site.homeserver_config import free_port
from tests.browser.matrix_page import SETTINGS
from tests.browser.running import RunningSite, chromium, running
from tests.browser.synapse import NotedHomeserver
from tests.browser.visitors import Visitors, turn_on


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; the tests fail where there is none."""
    with chromium() as browser:
        yield browser


def _watched(site: RunningSite) -> Iterator[RunningSite]:
    yield site
    assert "Traceback" not in site.said, site.said


@pytest.fixture(scope="session")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """``HOMESERVER=none make run``, in a folder of its own."""
    with running(tmp_path_factory.mktemp("plain"), homeserver=False) as site:
        yield from _watched(site)


@pytest.fixture(scope="session")
def school_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """``make run``, in a folder of its own, with a real Synapse."""
    with running(tmp_path_factory.mktemp("school"), homeserver=True) as site:
        NotedHomeserver(site).lift_limits()
        yield from _watched(site)


@pytest.fixture
def plain(plain_site: RunningSite, browser: Browser) -> Iterator[Visitors]:
    """People in front of a site on which nobody has changed a setting yet."""
    _forget_communication(plain_site.instance / "site.db")
    yield from _visiting(plain_site, browser)


@pytest.fixture
def school(school_site: RunningSite, browser: Browser) -> Iterator[Visitors]:
    """People in front of a site that is connected with its homeserver."""
    yield from _visiting(school_site, browser)


def _visiting(site: RunningSite, browser: Browser) -> Iterator[Visitors]:
    visitors = Visitors(site, browser)
    try:
        yield visitors
        assert visitors.problems == []
    finally:
        visitors.close()


def _forget_communication(database: Path) -> None:
    """Empty every table of ours; the people and courses of the site stay."""
    with closing(sqlite3.connect(database, timeout=15)) as connection, connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in named:
            if name.startswith("commweb_") and name != "commweb_alembic_version":
                connection.execute(f'DELETE FROM "{name}"')


@pytest.fixture
def unique() -> str:
    """A short word no other test uses."""
    return f"t{secrets.token_hex(3)}"


@pytest.fixture
def stored(plain_site: RunningSite) -> Callable[[], str]:
    """Everything in commweb's own tables of the plain site, as text."""

    def read() -> str:
        with closing(sqlite3.connect(plain_site.instance / "site.db", timeout=15)) as connection:
            return "\n".join(
                line for line in connection.iterdump() if line.startswith('INSERT INTO "commweb_')
            )

    return read


@pytest.fixture
def nowhere() -> str:
    """The address of a homeserver that does not run."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def settings(plain: Visitors) -> Page:
    """The settings page as an admin meets it first."""
    page = plain.page()
    turn_on(page)
    page.goto(SETTINGS)
    return page
