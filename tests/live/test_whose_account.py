"""Site users who are named like somebody on a real Synapse: nobody is changed, named or let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from commweb.account_rows import account_of
from commweb.accounts import retire
from commweb.host import Member, Person, Role
from commweb.models import MemberRow, RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import ADMIN, AdminSession
from tests.sites import Site, site, student, teacher
from tests.synapse_eyes import SynapseEyes

SIGN_ON = "oidc-school"


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
                    "sso_provider_id": SIGN_ON,
                },
                access_token=admin_session.access_token,
                refresh_token=admin_session.refresh_token,
            )
        yield made


def synced(school: Site, *members: Member) -> dict[str, tuple[str, str | None, str]]:
    """Each person's account, and the state and reason in the room, after a sync."""
    school.campus.add("1", *members)
    with school.app.app_context():
        school.comm.course_created("1")
        school.comm.course_changed("1")
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()
    columns = (MemberRow.person_id, MemberRow.state, MemberRow.remote_user_id, MemberRow.reason)
    with school.state.database.read() as connection:
        rows = connection.execute(select(*columns)).all()
    return {row[0]: (row[1], row[2], str(row[3] or "")) for row in rows}


def told(homeserver: Homeserver, remote: str) -> dict[str, Any]:
    path = f"/_synapse/admin/v2/users/{quote(remote, safe='')}"
    kept = ("displayname", "admin", "external_ids", "deactivated")
    user = homeserver.admin("GET", path)
    return {name: user[name] for name in kept}


def inside(school: Site, homeserver: Homeserver) -> set[str]:
    with school.state.database.read() as connection:
        room_id = connection.execute(select(RoomRow.remote_id)).scalar_one()
    return set(SynapseEyes(homeserver).room(str(room_id)).inside())


def signing_on(member: Member, external_id: str) -> Member:
    person = member.person
    kept = Person(person.id, person.username, person.display_name, external_id=external_id)
    return Member(kept, member.role)


def test_people_named_like_an_administrator_a_stranger_or_the_sites_account_change_nobody(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    boss, stranger = f"{unique}-boss", f"{unique}-stranger"
    homeserver.ensure_people([(boss, "The Boss"), (stranger, "A Stranger")], unique)
    boss_id, stranger_id = homeserver.user_id(boss), homeserver.user_id(stranger)
    path = f"/_synapse/admin/v1/users/{quote(boss_id, safe='')}/admin"
    homeserver.admin("PUT", path, json={"admin": True})
    own_id = homeserver.user_id(ADMIN)
    before = {one: told(homeserver, one) for one in (boss_id, stranger_id, own_id)}
    members = [teacher(boss), student(stranger), student(ADMIN), student(f"{unique}-new")]
    found = synced(school, *(signing_on(one, f"{one.person.id}-x") for one in members))
    assert {one: told(homeserver, one) for one in before} == before
    for name, remote in ((boss, boss_id), (stranger, stranger_id)):
        state, _account, reason = found[name]
        assert state in ("waiting", "failing")
        assert remote in reason
    state, account, _reason = found[ADMIN]
    assert state == "in"
    assert account not in (None, own_id)
    assert inside(school, homeserver) == {own_id, account, homeserver.user_id(f"{unique}-new")}


def test_a_person_made_again_with_the_same_single_sign_on_gets_the_account_back(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    first = Person("1", unique, "Anna", external_id=f"{unique}-sub")
    assert synced(school, Member(first, Role.PARTICIPANT))["1"][0] == "in"
    with school.state.database.write() as connection:
        retire(connection, "1")
    again = Person("2", f"{unique}-renamed", "Anna", external_id=f"{unique}-sub")
    found = synced(school, Member(again, Role.PARTICIPANT))
    assert found["2"][:2] == ("in", homeserver.user_id(unique))


def test_an_account_of_the_persons_single_sign_on_is_theirs_under_any_name(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    other = f"{unique}-other"
    homeserver.ensure_people([(other, "By hand")], unique)
    path = f"/_synapse/admin/v2/users/{quote(homeserver.user_id(other), safe='')}"
    pairs = [{"auth_provider": SIGN_ON, "external_id": f"{unique}-sub"}]
    homeserver.admin("PUT", path, json={"external_ids": pairs})
    person = Person("1", unique, "Anna", external_id=f"{unique}-sub")
    synced(school, Member(person, Role.PARTICIPANT))
    with school.state.database.read() as connection:
        record = account_of(connection, "matrix", "1", homeserver.server)
    assert record is not None
    assert (record.remote_user_id, record.origin) == (homeserver.user_id(other), "external_id")
    assert told(homeserver, homeserver.user_id(other))["displayname"] == "By hand"


def test_any_name_follows_the_person_until_they_choose_one_in_the_chat(
    school: Site, homeserver: Homeserver, unique: str
) -> None:
    names = {
        "long": "Ä" * 300,
        "controls": "Tab\there\nand\x07there\x85",
        "right": "\u202eright \u05d0\u05d1 to left\u2069",
        "spaces": "  spaces  around  ",
        "nul": "nul\x00inside",
        "emoji": "👩\u200d🎓 Ada",
        "same": f"{unique}-same",
    }

    def everybody(suffix: str) -> list[Member]:
        return [
            Member(Person(key, f"{unique}-{key}", name + suffix), Role.PARTICIPANT)
            for key, name in names.items()
        ]

    found = synced(school, *everybody(""))
    assert {key: state for key, (state, _account, _reason) in found.items()} == dict.fromkeys(
        names, "in"
    )
    accounts = {key: str(account) for key, (_state, account, _reason) in found.items()}
    first = {key: told(homeserver, account)["displayname"] for key, account in accounts.items()}
    by_hand = accounts["emoji"]
    homeserver.admin(
        "PUT", f"/_synapse/admin/v2/users/{quote(by_hand, safe='')}", json={"displayname": "Mine"}
    )
    longer = [one for one in everybody(" II") if one.person.id != "long"]
    long = Person("long", f"{unique}-long", "Short now")
    synced(school, Member(long, Role.PARTICIPANT), *longer)
    second = {key: told(homeserver, account)["displayname"] for key, account in accounts.items()}
    assert second.pop("emoji") == "Mine"
    assert second.pop("long") == "Short now"
    assert first.pop("long") == "Ä" * 255
    assert {key: name.endswith("II") for key, name in second.items()} == dict.fromkeys(second, True)


def test_a_name_that_a_bridge_owns_becomes_another_one(
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], AdminSession],
    tmp_path: Path,
) -> None:
    bridge = tmp_path / "bridge.yaml"
    bridge.write_text(
        "id: irc\nurl: null\nas_token: aaaaaaaaaaaaaaaaaaaa\nhs_token: bbbbbbbbbbbbbbbbbbbb\n"
        "sender_localpart: ircbot\nnamespaces:\n  users:\n"
        "  - {exclusive: true, regex: '@irc_.*:localhost'}\n  rooms: []\n  aliases: []\n"
    )
    server = make_homeserver(config={"app_service_config_files": [str(bridge)]})
    session = sign_in(server)
    with site(tmp_path, COMMWEB_ALLOWED_PRIVATE_HOSTS="127.0.0.0/8") as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
            made.comm.configure(
                "matrix",
                {"home_server_url": session.base_url, "element_web_url": "https://e.example"},
                access_token=session.access_token,
                refresh_token=session.refresh_token,
            )
        for _again in range(3):
            found = synced(made, student("irc_anna"))
            if found["irc_anna"][0] == "in":
                break
        assert found["irc_anna"][:2] == ("in", server.user_id("u-irc_anna"))
