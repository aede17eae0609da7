"""Real Synapses: another homeserver, and sessions that are replaced, cleared or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from sqlalchemy import select

from commweb.errors import AnotherServer
from commweb.models import Account, RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import ADMIN, AdminSession
from tests.sites import Site, site, student, teacher
from tests.synapse_eyes import SynapseEyes
from tests.unit.web.conftest import Visitor, shown

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}
SETTINGS = "/communication/admin/communication/providers/matrix"


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "school"
    folder.mkdir()
    with site(folder, **ALLOW) as made:
        yield made


def connect(school: Site, session: AdminSession, **more: bool) -> None:
    with school.app.app_context():
        school.comm.set_enabled(True)
        school.comm.configure(
            "matrix",
            {"home_server_url": session.base_url, "element_web_url": "https://app.element.io"},
            access_token=session.access_token,
            refresh_token=session.refresh_token,
            user_id=session.user_id,
            device_id=session.device_id,
            **more,
        )


def whoami(base_url: str, token: str) -> int:
    address = f"{base_url}/_matrix/client/v3/account/whoami"
    answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    return answer.status_code


def stored_access(school: Site) -> str:
    tokens = school.state.tokens(school.state.registry.get("matrix"))
    session = tokens.read()
    assert session is not None
    return session.pair.access.reveal()


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def rows(school: Site) -> dict[str, RoomRow]:
    with school.app.app_context():
        found = school.db.session.execute(select(RoomRow)).scalars().all()
        school.db.session.expunge_all()
        return {row.server_name: row for row in found}


def test_on_another_homeserver_rooms_and_accounts_are_created_anew_and_going_back_finds_the_old(
    school: Site,
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], AdminSession],
    lift_limits: Callable[[Homeserver], None],
) -> None:
    one = make_homeserver(server_name="one.example")
    two = make_homeserver(server_name="two.example")
    for server in (one, two):
        lift_limits(server)
    first, second = sign_in(one), sign_in(two)
    connect(school, first)
    school.campus.add("1", teacher("ada"), student("bob"), name="Algebra")
    with school.app.app_context():
        school.comm.course_created("1")
        school.db.session.commit()
    work(school)
    old = rows(school)["one.example"]
    eyes = {"one": SynapseEyes(one), "two": SynapseEyes(two)}
    everybody = {"@admin:one.example", "@ada:one.example", "@bob:one.example"}
    assert eyes["one"].room(old.remote_id or "").joined == everybody

    with pytest.raises(AnotherServer, match=r"1 room and 2 accounts are on one\.example"):
        connect(school, second)
    connect(school, second, allow_new_server=True)
    work(school)
    new = rows(school)["two.example"]
    assert new.status == "ready"
    joined = eyes["two"].room(new.remote_id or "").joined
    assert joined == {user.replace("one", "two") for user in everybody}
    assert eyes["one"].room(old.remote_id or "").joined == everybody
    with school.state.database.read() as connection:
        servers = connection.execute(select(Account.server_name, Account.person_id)).all()
    assert sorted(map(tuple, servers)) == [
        ("one.example", "ada"),
        ("one.example", "bob"),
        ("two.example", "ada"),
        ("two.example", "bob"),
    ]

    school.campus.add("1", teacher("ada"), student("cyd"), name="Algebra")
    connect(school, first, allow_new_server=True)
    work(school)
    back = rows(school)["one.example"]
    assert (back.remote_id, back.wanted) == (old.remote_id, True)
    assert eyes["one"].room(old.remote_id or "").joined == {
        "@admin:one.example",
        "@ada:one.example",
        "@cyd:one.example",
    }


def test_a_session_that_is_replaced_is_dead_at_the_homeserver(
    school: Site, admin_session: AdminSession, admin_password: str
) -> None:
    connect(school, admin_session)
    admin = Visitor(school)
    page = admin.send(f"{SETTINGS}/sign-in", username=ADMIN, password=admin_password)
    admin.follow(page)
    assert whoami(admin_session.base_url, admin_session.access_token) == 401
    assert whoami(admin_session.base_url, stored_access(school)) == 200


def test_tokens_of_the_same_device_are_not_logged_out(
    school: Site, admin_session: AdminSession
) -> None:
    connect(school, admin_session)
    admin = Visitor(school)
    typed = {
        "access_token": admin_session.access_token,
        "refresh_token": admin_session.refresh_token,
    }
    admin.follow(admin.send(SETTINGS, **typed))
    assert whoami(admin_session.base_url, stored_access(school)) == 200


def test_a_wrong_access_token_that_a_refresh_replaced_is_told(
    school: Site,
    admin_session: AdminSession,
    homeserver: Homeserver,
    sign_in: Callable[[Homeserver], AdminSession],
) -> None:
    connect(school, admin_session)
    other = sign_in(homeserver)
    admin = Visitor(school)
    typed = {"access_token": "syt_wrong", "refresh_token": other.refresh_token}
    page = admin.follow(admin.send(SETTINGS, **typed))
    assert "The access token was not accepted. A new one was obtained" in page
    assert whoami(admin_session.base_url, stored_access(school)) == 200
    assert whoami(admin_session.base_url, admin_session.access_token) == 401


def test_a_session_that_is_cleared_is_dead_at_the_homeserver(
    school: Site, admin_session: AdminSession
) -> None:
    connect(school, admin_session)
    admin = Visitor(school)
    assert "The tokens are cleared." in admin.follow(admin.send(f"{SETTINGS}/clear-tokens"))
    assert whoami(admin_session.base_url, admin_session.access_token) == 401


def test_an_account_that_is_no_administrator_is_refused_and_its_session_ended(
    school: Site,
    admin_session: AdminSession,
    homeserver: Homeserver,
    make_people: Callable[..., list[str]],
    unique: str,
) -> None:
    connect(school, admin_session)
    (name,) = make_people(homeserver, 1)
    answer = Visitor(school).send(f"{SETTINGS}/sign-in", username=name, password=unique)
    assert answer.status_code == 422
    said = f"@{name}:localhost is not a server administrator. Creating accounts and adding people"
    assert said in shown(answer)
    assert stored_access(school) == admin_session.access_token
    path = f"/_synapse/admin/v2/users/{quote(f'@{name}:localhost')}/devices"
    assert homeserver.admin("GET", path)["devices"] == []
