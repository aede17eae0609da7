"""What a real Synapse answers when it refuses, and that it is booked where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from sqlalchemy import select, update

from commweb.errors import RoomUnsettled
from commweb.models import Connection, MemberRow, RoomRow
from commweb.providers.base import Finding
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.meaning import Absent
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.matrix.session import HomeserverSession
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, student, switched_on
from tests.stored_session import Stored

SignIn = Callable[[Homeserver], AdminSession]
MakeHomeserver = Callable[..., Homeserver]
ADMIN = "@admin:localhost"
CONTACT = "mailto:it@hs.example"


@contextmanager
def school(folder: Path, signed_in: AdminSession) -> Iterator[Site]:
    """A site with the course 1, signed in to the homeserver."""
    provider = MatrixProvider()
    with switched_on(folder, provider, COMMWEB_ALLOWED_PRIVATE_HOSTS=["127.0.0.0/8"]) as made:
        with made.app.app_context():
            made.comm.configure(
                "matrix",
                {
                    "home_server_url": signed_in.base_url,
                    "element_web_url": "https://app.element.io",
                },
                access_token=signed_in.access_token,
                refresh_token=signed_in.refresh_token,
            )
            state = made.state
            provider.lift_limits(state.context(provider))
            made.campus.add("1", student("anna"))
            made.comm.course_created("1", provider="matrix")
            made.db.session.commit()
        yield made


def work(site: Site) -> None:
    """One sweep, with all rests over."""
    with site.app.app_context():
        site.comm.course_changed("1")
        site.db.session.execute(update(RoomRow).values(next_attempt_at=None))
        site.db.session.commit()
        Worker(site.state).work()


def rows(site: Site) -> tuple[Any, dict[str, tuple[str, str]], Any]:
    """The room, each person's state and reason, and the session."""
    with site.app.app_context():
        execute = site.db.session.execute
        room = execute(select(RoomRow.__table__)).one()
        members = execute(select(MemberRow.__table__)).all()
        session = execute(select(Connection.__table__)).one()
    return room, {one.person_id: (one.state, str(one.reason or "")) for one in members}, session


def check(site: Site) -> list[Finding]:
    with site.app.app_context():
        provider = site.state.registry.get("matrix")
        assert provider is not None
        return provider.check(site.state.context(provider), 10.0)


def trouble(site: Site) -> Finding:
    (found,) = (one for one in check(site) if one.level == "danger")
    return found


@pytest.fixture
def boss(make_people: Callable[..., list[str]], unique: str) -> Callable[[Homeserver], Any]:
    """Another administrator: answers what sends requests as that account."""

    def make(homeserver: Homeserver) -> Any:
        (name,) = make_people(homeserver, 1)
        user = quote(f"@{name}:localhost", safe="")
        homeserver.admin("PUT", f"/_synapse/admin/v2/users/{user}", json={"admin": True})
        token = homeserver.login(name, unique)["access_token"]

        def ask(method: str, path: str, body: Any) -> None:
            answer = requests.request(
                method,
                homeserver.base_url + path,
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=10,
            )
            answer.raise_for_status()

        return ask

    return make


def of(user: str) -> str:
    return quote(user, safe="")


def test_a_suspended_acting_account_stops_the_provider_and_nobody_is_blamed(
    tmp_path: Path, make_homeserver: MakeHomeserver, sign_in: SignIn, boss: Any
) -> None:
    homeserver = make_homeserver()
    ask = boss(homeserver)
    with school(tmp_path, sign_in(homeserver)) as site:
        work(site)
        assert rows(site)[1]["anna"][0] == "in"
        ask("PUT", f"/_synapse/admin/v1/suspend/{of(ADMIN)}", {"suspend": True})
        site.campus.add("1", student("anna"), student("ian"))
        work(site)
        room, members, session = rows(site)
        assert room.status == "ready"
        assert members["ian"][0] != "failing"
        assert session.trouble_code == "M_USER_SUSPENDED"
        assert trouble(site).code == "stopped"
        assert "suspended" in trouble(site).message
        ask("PUT", f"/_synapse/admin/v1/suspend/{of(ADMIN)}", {"suspend": False})
        work(site)
        work(site)
        assert rows(site)[1]["ian"][0] == "in"
        assert rows(site)[2].trouble_code is None


def test_a_suspended_person_is_that_persons_own_trouble(
    tmp_path: Path, make_homeserver: MakeHomeserver, sign_in: SignIn, boss: Any
) -> None:
    homeserver = make_homeserver()
    ask = boss(homeserver)
    with school(tmp_path, sign_in(homeserver)) as site:
        site.campus.add("1", student("anna"), student("ben"))
        work(site)
        ask("PUT", f"/_synapse/admin/v1/suspend/{of('@ben:localhost')}", {"suspend": True})
        site.campus.add("1", student("anna"))
        work(site)
        assert rows(site)[1]["ben"][0] == "removed"
        site.campus.add("1", student("anna"), student("ben"), student("cyd"))
        work(site)
        _room, members, session = rows(site)
        assert members["cyd"][0] == members["anna"][0] == "in"
        assert members["ben"][0] not in ("in", "adding")
        assert "suspended" in members["ben"][1]
        assert session.trouble_code is None


def test_an_acting_account_that_is_locked_or_no_administrator_any_more_is_told(
    tmp_path: Path, make_homeserver: MakeHomeserver, sign_in: SignIn, boss: Any
) -> None:
    homeserver = make_homeserver()
    ask = boss(homeserver)
    path = f"/_synapse/admin/v2/users/{of(ADMIN)}"
    with school(tmp_path, sign_in(homeserver)) as site:
        for change, code, errcode in (
            ({"locked": True}, "stopped", "M_USER_LOCKED"),
            ({"admin": False}, "not_admin", "M_FORBIDDEN"),
        ):
            ask("PUT", path, change)
            assert trouble(site).code == code
            work(site)
            assert rows(site)[2].trouble_code == errcode
            ask("PUT", path, {key: not value for key, value in change.items()})
            assert not [one for one in check(site) if one.level == "danger"]
            work(site)
        work(site)
        assert rows(site)[1]["anna"][0] == "in"


def test_terms_that_are_not_agreed_to_are_told_with_the_link(
    tmp_path: Path, make_homeserver: MakeHomeserver, sign_in: SignIn
) -> None:
    terms = tmp_path / "terms" / "en"
    terms.mkdir(parents=True)
    for page in ("1.0.html", "success.html"):
        (terms / page).write_text("The terms")
    homeserver = make_homeserver()
    homeserver.stop()
    port = urlsplit(homeserver.base_url).port
    listener = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client", "consent"], "compress": False}],
    }
    homeserver.config = {
        **homeserver.config,
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "form_secret": "a form",
        "listeners": [listener],
        "user_consent": {
            "template_dir": str(terms.parent),
            "version": "1.0",
            "block_events_error": "Please agree first",
        },
    }
    homeserver.start()
    with school(tmp_path, sign_in(homeserver)) as site:
        work(site)
        assert rows(site)[2].trouble_code == "M_CONSENT_NOT_GIVEN"
        said = trouble(site)
        assert said.code == "stopped"
        assert "Please agree first" in said.message
        link = said.message.rpartition("Open ")[2]
        form = parse_qs(urlsplit(link).query)
        answer = requests.post(
            link.partition("?")[0],
            data={"v": "1.0", "u": form["u"][0], "h": form["h"][0]},
            timeout=10,
        )
        answer.raise_for_status()
        work(site)
        work(site)
        assert rows(site)[1]["anna"][0] == "in"


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        (
            {"limit_usage_by_mau": True, "max_mau_value": 0},
            "user_limit",
            "limit of users",
        ),
        (
            {"hs_disabled": True, "hs_disabled_message": "The bill was not paid"},
            "stopped",
            "The bill was not paid",
        ),
    ],
)
def test_a_server_at_its_limit_is_told_with_its_contact(
    tmp_path: Path,
    make_homeserver: MakeHomeserver,
    sign_in: SignIn,
    config: dict[str, Any],
    code: str,
    words: str,
) -> None:
    homeserver = make_homeserver()
    with school(tmp_path, sign_in(homeserver)) as site:
        before = homeserver.config
        homeserver.stop()
        homeserver.config = {**before, **config, "admin_contact": CONTACT}
        homeserver.start()
        found = trouble(site)
        assert found.code == code
        assert words in found.message
        assert found.message.endswith("Contact: it@hs.example")
        work(site)
        room, members, session = rows(site)
        assert room.remote_id is None
        assert "M_RESOURCE" not in f"{room.reason} {members} {session.trouble}"
        assert "it@hs.example" in f"{room.reason} {members} {session.trouble}"
        homeserver.stop()
        homeserver.config = before
        homeserver.start()
        work(site)
        work(site)
        assert rows(site)[1]["anna"][0] == "in"


# What is not there


@pytest.fixture
def client(tmp_path: Path, admin_session: AdminSession) -> Iterator[MatrixClient]:
    stored = Stored.open(tmp_path / "site.db")
    stored.save(
        admin_session.access_token, admin_session.refresh_token, base_url=admin_session.base_url
    )
    session = HomeserverSession.open(stored.context(admin_session.base_url))
    yield session.client
    session.close()
    stored.close()


def test_what_is_not_there_is_said_so_of_this_very_thing(client: MatrixClient, unique: str) -> None:
    nobody, nowhere = f"@{unique}:localhost", f"!{unique}:localhost"
    room = client.create_room({"preset": "private_chat"})
    assert client.user(nobody) is None
    assert client.alias(f"#{unique}:localhost") is None
    client.delete_alias(f"#{unique}:localhost")
    assert client.room_state(nowhere) is None
    assert client.room_details(nowhere) is None
    assert client.deletion(unique) is None
    assert client.deletions(nowhere) == []
    with pytest.raises(Absent):
        client.state(room, "m.room.topic")
    with pytest.raises(Absent):
        client.admin_join(room, nobody)


def test_a_room_that_vanished_is_observed_again_before_anything_is_concluded(
    client: MatrixClient, unique: str
) -> None:
    nowhere = f"!{unique}:localhost"
    for act in (
        lambda: client.admin_join(nowhere, ADMIN),
        lambda: client.join(nowhere),
        lambda: client.kick(nowhere, ADMIN, "x"),
        lambda: client.leave(nowhere),
        lambda: client.invite(nowhere, "@x:hs.example"),
    ):
        with pytest.raises(RoomUnsettled):
            act()


def test_a_check_creates_no_room(client: MatrixClient) -> None:
    before = client.rooms(0, 500)["total_rooms"]
    client.try_creating()
    assert client.rooms(0, 500)["total_rooms"] == before
