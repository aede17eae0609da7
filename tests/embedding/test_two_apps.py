"""An application factory, and two apps in one process that share one CommWeb object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.providers import Registry
from commweb.queue import Queue
from tests.embedding.college import comm, create_app, db
from tests.embedding.visiting import Open, Visitor, close, open_college, shown
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.unit.web.conftest import FakeProvider


class Bell(Queue):
    """A queue that counts how often it was rung."""

    def __init__(self) -> None:
        super().__init__(None)
        self.rung = 0

    def wake(self, times: int = 1) -> None:
        self.rung += times


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Open, Open]]:
    """Two colleges of one factory, one ``db`` and one ``comm``; nothing else is the same."""
    server = SimulatedServer()
    north_registry = Registry([SimulatedProvider(server, "north"), FakeProvider()])
    south_registry = Registry([SimulatedProvider(SimulatedServer(), "south")])
    with (
        open_college(
            tmp_path / "north", registry=north_registry, COMMWEB_URL_PREFIX="/north"
        ) as north,
        open_college(
            tmp_path / "south",
            registry=south_registry,
            COMMWEB_URL_PREFIX="",
            SECRET_KEY="another",
            COMMWEB_SECRET_KEYS="Vt1yQb6oU4C3x4qv3nJw0k5J0yQ7yW7y3m2c1b0a9Z8=",
            COMMWEB_LAYOUT="commweb/layout.html",
            COMMWEB_STYLESHEET="",
        ) as south,
    ):
        yield Open(north.app, server), south


def test_a_factory_makes_as_many_apps_as_are_asked_for(tmp_path: Path) -> None:
    apps = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        apps.append(create_app(tmp_path / name))
    try:
        assert len({id(app.extensions["commweb"]) for app in apps}) == 3
        assert len({id(app.blueprints["commweb"]) for app in apps}) == 3
    finally:
        for app in apps:
            close(app)


def test_a_factory_reads_and_makes_no_table_and_no_file(tmp_path: Path) -> None:
    app = create_app(tmp_path, COMMWEB_QUEUE_URL=None)
    try:
        assert list(tmp_path.iterdir()) == []
        assert app.test_client().get("/communication/api/healthz").status_code == 200
        assert list(tmp_path.iterdir()) == []
    finally:
        close(app)


def test_settings_of_one_app_are_not_the_others(both: tuple[Open, Open]) -> None:
    north, south = both
    with south.app.app_context():
        comm.set_enabled(False)
    with north.app.app_context():
        assert comm.provider_choices() == [("", "None"), ("north", "Simulated")]
        assert comm.default_provider() == "north"
        comm.configure(
            "fake",
            {"home_server_url": "https://hs.example", "nickname": "Bot"},
            access_token="an-access-token",
            refresh_token="a-refresh-token",
        )
        assert comm.connection_state("fake") == "ok"
    with south.app.app_context():
        assert comm.provider_choices() == [("", "None")]
        assert comm.default_provider() == ""
        comm.set_enabled(True)
        assert comm.default_provider() == "south"


def test_pages_of_one_app_know_nothing_of_the_other(both: tuple[Open, Open]) -> None:
    north, south = both
    at_north, at_south = Visitor(north, "agnes"), Visitor(south, "agnes")
    assert "Fake" in shown(at_north.get("/north/admin/"))
    assert "Fake" not in shown(at_south.get("/admin/"))
    assert at_south.get("/north/admin/").status_code == 404
    assert at_north.get("/admin/").status_code == 404
    assert 'id="college-menu"' in at_north.get("/north/admin/").text
    page = at_south.get("/admin/").text
    assert "commweb-page" in page
    assert "commweb.css" not in page


def test_a_login_to_one_app_is_none_to_the_other(both: tuple[Open, Open]) -> None:
    north, south = both
    cookie = Visitor(north, "agnes").client.get_cookie("session")
    stranger = Visitor(south)
    stranger.client.set_cookie("session", cookie.value)
    assert stranger.get("/admin/").status_code == 302


def test_reports_and_rooms_of_one_app_are_not_the_others(both: tuple[Open, Open]) -> None:
    north, south = both
    bells = []
    for college in both:
        college.state.queue = bell = Bell()
        bells.append(bell)
    number = north.write("Astronomy", "cuthbert")
    assert bells[0].rung > 0
    assert bells[1].rung == 0
    north.run("commweb", "sync")
    south.run("commweb", "sync")
    assert len(north.server.rooms) == 1
    assert south.server.rooms == {}
    assert south.papers() == []
    told = []
    for college, prefix in ((north, "/north"), (south, "")):
        visitor = Visitor(college, "agnes")
        told.append(visitor.get(f"{prefix}/api/v1/courses/{number}/room"))
    assert told[0].get_json()["status"] == "ready"
    assert told[1].status_code == 404


def test_both_apps_can_be_entered_at_once_and_links_are_those_of_the_inner(
    both: tuple[Open, Open],
) -> None:
    north, south = both
    with north.app.test_request_context("/"):
        outer = comm.navigation(_agnes(north))
        with south.app.test_request_context("/"):
            inner = comm.navigation(_agnes(south))
        again = comm.navigation(_agnes(north))
    assert outer[0].url == again[0].url == "/north/admin/"
    assert inner[0].url == "/admin/"


def _agnes(college: Open):
    (agnes,) = db.session.execute(
        db.select(db.metadata.tables["scholar"].c.id).filter_by(handle="agnes")
    ).scalars()
    return college.state.host.person(agnes)
