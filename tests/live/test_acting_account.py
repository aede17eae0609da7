"""A real Synapse refuses the site's own account: it is said, waited for and booked on nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commweb.site.homeserver import Homeserver
from commweb.site.homeserver_config import free_port
from tests.live.conftest import AdminSession
from tests.live.watched import BOT, COURSE, Watched, quoted, watched
from tests.sites import student, teacher

MakeHomeserver = Callable[..., Homeserver]
SignIn = Callable[[Homeserver], AdminSession]


@pytest.fixture
def begin(
    tmp_path: Path,
    make_homeserver: MakeHomeserver,
    sign_in: SignIn,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Callable[..., Watched]]:
    """A school with a homeserver of the configuration that a test needs."""
    open_schools = []

    def make(port: int | None = None, **config: object) -> Watched:
        server = make_homeserver(config=config, port=port)
        lift_limits(server)
        (tmp_path / "site").mkdir()
        school = watched(tmp_path / "site", server, sign_in)
        open_schools.append(school)
        return school.__enter__()

    yield make
    for school in open_schools:
        school.__exit__(None, None, None)


def test_while_the_account_is_suspended_everybody_waits_and_nobody_is_failing(
    begin: Callable[..., Watched],
) -> None:
    school = begin()
    school.site.campus.add(COURSE, teacher("tina"), student("anna"))
    school.sync(kind="course_created")
    school.server.ensure_people([("boss", "Boss")], "unused")
    boss = school.server.user_id("boss")
    school.server.admin("PUT", f"/_synapse/admin/v2/users/{quoted(boss)}", json={"admin": True})
    chief = school.chatter("boss")
    suspend = f"/_synapse/admin/v1/suspend/{quoted(BOT)}"
    ours = school.server.admin_token
    school.server.admin_token = chief.token
    try:
        school.server.admin("PUT", suspend, json={"suspend": True})
        school.site.campus.add(COURSE, teacher("tina"), student("anna"), student("ian"))
        school.sync()
        assert "suspended" in school.waits_for()
        assert "failing" not in {state for state, _reason in school.states().values()}
        assert any(level == "danger" and "suspended" in told for level, told in school.checked())
        school.server.admin("PUT", suspend, json={"suspend": False})
    finally:
        school.server.admin_token = ours
    school.end_waits()
    school.sync()
    assert school.inside() == {"tina", "anna", "ian"}
    assert school.waits_for() == ""
    assert school.row.status == "ready"


def test_terms_that_the_account_has_to_agree_to_are_said_with_the_servers_link(
    begin: Callable[..., Watched], tmp_path: Path
) -> None:
    pages = tmp_path / "terms"
    (pages / "en").mkdir(parents=True)
    for name in ("1.0.html", "success.html"):
        (pages / "en" / name).write_text("Be kind.")
    port = free_port()
    listener = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client", "consent"], "compress": False}],
    }
    school = begin(
        port=port,
        public_baseurl=f"http://127.0.0.1:{port}/",
        user_consent={
            "template_dir": str(pages),
            "version": "1.0",
            "block_events_error": "Agree at %(consent_uri)s",
        },
        listeners=[listener],
    )
    school.site.campus.add(COURSE, student("anna"))
    school.sync(kind="course_created")
    told = school.waits_for()
    assert "M_CONSENT" not in told
    assert f"http://127.0.0.1:{port}/_matrix/consent" in told
    assert "failing" not in {state for state, _reason in school.states().values()}


def test_at_the_user_limit_people_still_leave_and_the_servers_contact_is_said(
    begin: Callable[..., Watched],
) -> None:
    school = begin()
    school.site.campus.add(COURSE, student("anna"), student("ben"))
    school.sync(kind="course_created")
    school.server.config = {
        **school.server.config,
        "limit_usage_by_mau": True,
        "max_mau_value": 0,
        "mau_limit_reserved_threepids": [],
        "admin_contact": "mailto:it@example.org",
    }
    school.server.restart()
    school.site.campus.add(COURSE, student("ben"), student("ida"))
    school.sync()
    told = f"{school.row.reason} {school.waits_for()} {school.states()['ida'][1]}"
    assert "M_RESOURCE_LIMIT_EXCEEDED" not in told
    assert "it@example.org" in told
    school.server.config = {**school.server.config, "max_mau_value": 50}
    school.server.restart()
    school.end_waits()
    school.sync()
    assert school.inside() == {"ben", "ida"}


def test_a_banned_account_changes_nothing_and_goes_on_when_it_is_let_in_again(
    begin: Callable[..., Watched],
) -> None:
    school = begin(default_room_version="10")
    school.site.campus.add(COURSE, teacher("tina"), student("anna"))
    school.sync(kind="course_created")
    tina = school.chatter("tina")
    users = school.content("m.room.power_levels")["users"]
    school.set_levels(users={**users, tina.user_id: 100, BOT: 50})
    assert tina.room(school.room_id, "POST", "ban", user_id=BOT).ok
    levels = school.content("m.room.power_levels")
    school.site.campus.add(COURSE, teacher("tina"), student("anna"), student("ben"))
    school.sync()
    school.sync()
    assert "banned" in str(school.row.reason)
    assert school.content("m.room.power_levels") == levels
    assert tina.room(school.room_id, "POST", "unban", user_id=BOT).ok
    school.sync()
    assert school.inside() == {"tina", "anna", "ben"}
    assert school.row.status == "ready"
