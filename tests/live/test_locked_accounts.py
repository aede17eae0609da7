"""Locking the accounts of suspended people on a real Synapse, and what a locked account does to a
room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from sqlalchemy import select

from commweb import Member
from commweb.models import Account, MemberRow, RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, person, site, student, teacher
from tests.synapse_eyes import SynapseEyes

PASSWORD = "a chat password of mine"


@pytest.fixture
def school(
    tmp_path: Path,
    admin_session: AdminSession,
    homeserver: Homeserver,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Site]:
    lift_limits(homeserver)
    with site(tmp_path, COMMWEB_ALLOWED_PRIVATE_HOSTS="127.0.0.0/8") as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
            made.comm.configure(
                "matrix",
                {
                    "home_server_url": admin_session.base_url,
                    "element_web_url": "https://app.element.io",
                    "lock_suspended": True,
                },
                access_token=admin_session.access_token,
                refresh_token=admin_session.refresh_token,
            )
        yield made


def synced(school: Site, *names: str) -> dict[str, tuple[str, str]]:
    """Each person's state and reason in the first course's room, after a sync."""
    campus = school.campus
    people = [person(name, active=name not in campus.suspended) for name in names]
    campus.add("1", teacher("lead"), *(Member(one, student("x").role) for one in people))
    with school.app.app_context():
        school.comm.course_created("1")
        school.comm.course_changed("1")
        for name in names:
            school.comm.person_changed(name)
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()
    with school.state.database.read() as connection:
        rows = connection.execute(select(MemberRow.person_id, MemberRow.state, MemberRow.reason))
        return {row[0]: (row[1], str(row[2] or "")) for row in rows}


def user_path(homeserver: Homeserver, name: str) -> str:
    return f"/_synapse/admin/v2/users/{quote(homeserver.user_id(name), safe='')}"


def is_locked(homeserver: Homeserver, name: str) -> bool:
    return bool(homeserver.admin("GET", user_path(homeserver, name))["locked"])


def signed_in(homeserver: Homeserver, name: str) -> str:
    homeserver.admin("PUT", user_path(homeserver, name), json={"password": PASSWORD})
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": name},
        "password": PASSWORD,
    }
    url = f"{homeserver.base_url}/_matrix/client/v3/login"
    return str(requests.post(url, json=body, timeout=20).json()["access_token"])


def whoami(homeserver: Homeserver, token: str) -> tuple[int, str]:
    url = f"{homeserver.base_url}/_matrix/client/v3/account/whoami"
    reply = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return reply.status_code, str(reply.json().get("errcode", ""))


def inside(school: Site, homeserver: Homeserver) -> set[str]:
    with school.state.database.read() as connection:
        room_id = connection.execute(select(RoomRow.remote_id)).scalar_one()
    return set(SynapseEyes(homeserver).room(str(room_id)).inside())


def test_a_suspended_persons_account_is_locked_and_works_again_after_they_are_reinstated(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    bob, cyd = f"{unique}-bob", f"{unique}-cyd"
    assert synced(school, bob, cyd)[bob][0] == "in"
    token = signed_in(homeserver, bob)
    assert whoami(homeserver, token) == (200, "")
    school.campus.suspended.add(bob)
    synced(school, bob, cyd)
    assert is_locked(homeserver, bob)
    assert not is_locked(homeserver, cyd)
    assert whoami(homeserver, token) == (401, "M_USER_LOCKED")
    assert homeserver.user_id(bob) not in inside(school, homeserver)
    school.campus.suspended.clear()
    assert synced(school, bob, cyd)[bob] == ("in", "")
    assert not is_locked(homeserver, bob)
    assert whoami(homeserver, token) == (200, "")
    assert homeserver.user_id(bob) in inside(school, homeserver)


def test_an_account_that_somebody_else_locked_stays_locked_and_stops_nobody_else(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    bob, cyd = f"{unique}-bob", f"{unique}-cyd"
    synced(school, bob)
    homeserver.admin("PUT", user_path(homeserver, bob), json={"locked": True})
    school.campus.suspended.add(bob)
    synced(school, bob)
    school.campus.suspended.clear()
    found = synced(school, bob, cyd)
    assert found[cyd] == ("in", "")
    assert is_locked(homeserver, bob), "commweb did not lock it"
    with school.state.database.read() as connection:
        locked = select(Account.locked_at).where(Account.person_id == bob)
        assert connection.execute(locked).scalar_one() is None
    # Synapse puts a locked account into a room when an administrator asks for it.
    assert found[bob][0] == "in"
    homeserver.admin("PUT", user_path(homeserver, bob), json={"locked": False})
    assert synced(school, bob, cyd)[bob] == ("in", "")
