"""The Matrix provider's work on a real Synapse."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from commweb.encryption import Secret
from commweb.errors import ProviderError, RateLimited, Refused, RoomUnsettled, Unreachable
from commweb.net import Door
from commweb.providers.matrix import public
from commweb.providers.matrix.backend import MatrixBackend
from commweb.providers.matrix.client import Limits
from commweb.providers.matrix.creating import RoomMaker
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.matrix.rooms import NewRoomRules
from commweb.providers.matrix.session import HomeserverSession
from commweb.providers.matrix.transport import Transport
from commweb.providers.rooms import (
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    ObservedRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.site.homeserver import Homeserver
from tests.dropper import Dropper
from tests.stored_session import LOOPBACK, Stored

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def stored(tmp_path: Path, admin_session: Any) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    stored.save(
        admin_session.access_token, admin_session.refresh_token, base_url=admin_session.base_url
    )
    yield stored
    stored.close()


@pytest.fixture
def session(
    stored: Stored,
    admin_session: Any,
    lift_limits: Callable[[Homeserver], None],
    homeserver: Homeserver,
) -> Iterator[HomeserverSession]:
    lift_limits(homeserver)
    session = HomeserverSession.open(stored.context(admin_session.base_url))
    yield session
    session.close()


@pytest.fixture
def backend(session: HomeserverSession) -> Iterator[MatrixBackend]:
    backend = MatrixProvider().backend(session.context)
    assert isinstance(backend, MatrixBackend)
    yield backend
    backend.close()


def creation(unique: str, **changes: Any) -> CreateRoom:
    values: dict[str, Any] = {
        "name": f"Course {unique}",
        "topic": "About it",
        "slug": unique,
        "creation_key": secrets.token_hex(16),
        "creation_started_at_seconds": None,
        "levels": {},
        "picture": None,
        "origin": {"instance": "default", "course": unique, "group": ""},
    }
    return CreateRoom(**{**values, **changes})


def ref(action: CreateRoom, remote_id: str | None = None) -> RoomRef:
    return RoomRef("42", "", action.creation_key, remote_id)


def look(backend: MatrixBackend, room: RoomRef) -> ObservedRoom:
    seen = backend.observe(room)
    assert seen is not None
    return seen


def make_room(backend: MatrixBackend, unique: str, **changes: Any) -> RoomRef:
    action = creation(unique, **changes)
    return ref(action, backend.create(ref(action), action))


def forget_limits(homeserver: Homeserver, user: str) -> None:
    """The server's own limits apply to the user again."""
    path = f"/_synapse/admin/v1/users/{quote(user, safe='')}/override_ratelimit"
    homeserver.admin("DELETE", path)


def make_account(backend: MatrixBackend, name: str) -> str:
    remote = backend.identify(name, frozenset())
    facts = backend.ensure_account(EnsureAccount(name, remote, name.upper()))
    assert facts.usable, facts.reason
    return remote


def test_the_server_says_who_it_is_and_who_we_are(session: HomeserverSession) -> None:
    assert any(version.startswith("v1.") for version in public.versions(session.transport))
    assert not public.uses_delegated_auth(session.transport)
    who = session.client.whoami()
    assert (who.user_id, who.server_name) == ("@admin:localhost", "localhost")
    assert who.device_id
    own = session.client.user(who.user_id)
    assert own is not None
    assert own.admin
    assert session.client.default_room_version() == "12"
    assert (session.client.largest_upload() or 0) > 1_000_000


def test_limits_are_read_set_and_removed(
    session: HomeserverSession, unique: str, backend: MatrixBackend, homeserver: Homeserver
) -> None:
    user = make_account(backend, unique)
    assert session.client.limits(user) is None
    session.client.set_limits(user, Limits(0, 0))
    assert session.client.limits(user) == Limits(0, 0)
    forget_limits(homeserver, user)
    assert session.client.limits(user) is None


def test_the_check_finds_everything_in_order_and_the_button_lifts_limits(
    session: HomeserverSession, homeserver: Homeserver
) -> None:
    provider, context = MatrixProvider(), session.context
    forget_limits(homeserver, "@admin:localhost")
    codes = [one.code for one in provider.check(context, 10)]
    assert codes == ["reached", "account", "admin", "rate_limited"]
    provider.lift_limits(context)
    codes = [one.code for one in provider.check(context, 10)]
    assert codes == ["reached", "account", "admin"]


def test_a_room_is_made_as_it_was_asked_for(backend: MatrixBackend, unique: str) -> None:
    teacher = backend.identify(f"{unique}-teacher", frozenset())
    picture = Picture("digest", "image/png", lambda: PNG)
    room = make_room(backend, unique, levels={teacher: 50}, picture=picture)
    seen = look(backend, room)
    assert (seen.name, seen.topic) == (f"Course {unique}", "About it")
    assert (seen.picture_uri or "").startswith("mxc://localhost/")
    assert seen.levels == {teacher: 50}
    assert seen.creators == frozenset({"@admin:localhost"})
    assert list(seen.members) == ["@admin:localhost"]
    assert (seen.own_in_room, seen.own_can_manage, seen.read_only) == (True, True, False)


def test_an_invitation_that_came_with_the_room_is_not_written_a_second_time(
    backend: MatrixBackend, homeserver: Homeserver, unique: str
) -> None:
    people = [make_account(backend, f"{unique}-{number}") for number in range(3)]
    joins = [Join(one, one, one.partition(":")[0].removeprefix("@").upper()) for one in people]
    room = make_room(backend, unique, invited=tuple(joins))
    for join in joins:
        backend.join(room, join)
    path = f"/_synapse/admin/v1/rooms/{quote(room.remote_id or '', safe='')}/messages"
    events = homeserver.admin("GET", f"{path}?dir=b&limit=100")["chunk"]
    written = [
        (event["state_key"], event["content"]["membership"])
        for event in reversed(events)
        if event["type"] == "m.room.member" and event["state_key"] in people
    ]
    assert written == [(one, what) for what in ("invite", "join") for one in people]


def test_a_room_is_private_local_and_unencrypted(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    room = make_room(backend, unique)
    events = session.client.room_state(room.remote_id or "") or []
    state = {event["type"]: event["content"] for event in events}
    assert state["m.room.join_rules"] == {"join_rule": "invite"}
    assert state["m.room.history_visibility"] == {"history_visibility": "shared"}
    assert state["m.room.create"]["m.federate"] is False
    assert state["m.room.create"]["org.commweb.origin"]["course"] == unique
    assert state["m.room.canonical_alias"] == {}
    assert "m.room.encryption" not in state


@pytest.mark.parametrize("version", ["10", "11"])
def test_a_server_with_an_older_room_version_keeps_the_acting_account_in_power(
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], Any],
    tmp_path: Path,
    unique: str,
    version: str,
) -> None:
    mine = sign_in(make_homeserver(config={"default_room_version": version}))
    stored = Stored.open(tmp_path / "site.db")
    stored.save(mine.access_token, mine.refresh_token, base_url=mine.base_url)
    backend = MatrixProvider().backend(stored.context(mine.base_url))
    assert isinstance(backend, MatrixBackend)
    person = make_account(backend, unique)
    invited = (Join("1", person, unique),)
    room = make_room(backend, unique, levels={"@teacher:localhost": 50}, invited=invited)
    seen = look(backend, room)
    assert seen.members[person].membership == "invite"
    assert seen.levels == {"@admin:localhost": 100, "@teacher:localhost": 50}
    assert (seen.own_can_manage, seen.creators) == (True, frozenset())
    backend.set_levels(room, SetLevels({"@teacher:localhost": None}))
    assert look(backend, room).levels == {"@admin:localhost": 100}
    backend.close()
    stored.close()


def test_creating_twice_gives_one_room(backend: MatrixBackend, unique: str) -> None:
    action = creation(unique)
    first = backend.create(ref(action), action)
    assert backend.create(ref(action), action) == first
    again = creation(
        unique, creation_key=action.creation_key, creation_started_at_seconds=1_700_000_000.0
    )
    assert backend.create(ref(again), again) == first


def test_creating_at_the_same_moment_gives_one_room(
    stored: Stored, session: HomeserverSession, unique: str
) -> None:
    action = creation(unique)
    start = threading.Barrier(3)
    made: list[object] = []

    def work() -> None:
        backend = MatrixProvider().backend(session.context)
        start.wait()
        try:
            made.append(backend.create(ref(action), action))
        except RoomUnsettled:
            made.append(None)
        finally:
            backend.close()

    session.acting()
    threads = [threading.Thread(target=work) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = creation(unique, creation_key=action.creation_key, creation_started_at_seconds=1.0)
    backend = MatrixProvider().backend(session.context)
    only = backend.create(ref(later), later)
    backend.close()
    assert {room for room in made if room is not None} <= {only}


@pytest.fixture
def dropper(homeserver: Homeserver) -> Iterator[Dropper]:
    with Dropper.before(homeserver.base_url) as server:
        yield server


def test_a_lost_create_room_reply_makes_no_second_room(
    stored: Stored, session: HomeserverSession, dropper: Dropper, admin_session: Any, unique: str
) -> None:
    stored.save(admin_session.access_token, admin_session.refresh_token, base_url=dropper.url)
    backend = MatrixProvider().backend(stored.context(dropper.url))
    action = creation(unique)
    dropper.lose("createRoom")
    with pytest.raises(Unreachable):
        backend.create(ref(action), action)
    assert dropper.dropped == 1
    later = creation(unique, creation_key=action.creation_key, creation_started_at_seconds=1.0)
    room_id = backend.create(ref(later), later)
    assert backend.create(ref(action), action) == room_id
    backend.close()
    stored.save(
        admin_session.access_token, admin_session.refresh_token, base_url=admin_session.base_url
    )
    search = f"/_synapse/admin/v1/rooms?search_term={quote(action.name)}"
    rooms = admin_session.homeserver.admin("GET", search)["rooms"]
    assert [room["room_id"] for room in rooms] == [room_id]


def half_made(session: HomeserverSession, action: CreateRoom, name: str) -> None:
    """A createRoom that Synapse refuses half-way keeps the alias (seen with version 12, when
    the creator is listed with a level)."""
    content = {
        "room_alias_name": name,
        "room_version": "12",
        "creation_content": {"org.commweb.creation_key": action.creation_key},
        "power_level_content_override": {"users": {"@admin:localhost": 100}},
    }
    with pytest.raises(Refused):
        session.client.create_room(content)


def test_a_half_made_room_is_waited_for_and_then_made_again(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    action = creation(unique, creation_started_at_seconds=1.0)
    patient = RoomMaker(session.client, "@admin:localhost", "localhost", NewRoomRules())
    impatient = replace(patient, settles_after_seconds=0)
    name = f"{unique}-{_short(action)}"
    half_made(session, action, name)
    alias = f"#{name}:localhost"
    broken = session.client.alias(alias)
    assert broken is not None
    with pytest.raises(RoomUnsettled):
        patient.make(action, None)
    with pytest.raises(RoomUnsettled):
        patient.find(action.slug, action.creation_key, 1.0)
    found = impatient.find(action.slug, action.creation_key, 1.0)
    assert found == FoundRoom(broken, complete=False)
    deletion = backend.delete(replace(ref(action), remote_id=broken), DeleteRoom(slug=action.slug))
    assert deletion is not None
    made = patient.make(action, None)
    assert made != broken
    assert session.client.alias(alias) == made


def _short(action: CreateRoom) -> str:
    from commweb.providers.matrix.identifiers import room_alias_name

    return room_alias_name("x", action.creation_key).removeprefix("x-")


def test_somebody_elses_room_with_our_alias_is_never_touched(
    session: HomeserverSession,
    backend: MatrixBackend,
    homeserver: Homeserver,
    make_people: Callable[..., list[str]],
    unique: str,
) -> None:
    action = creation(unique, creation_started_at_seconds=1.0)
    eve = make_people(homeserver, 1)[0]
    name = f"{unique}-{_short(action)}"
    with Door(LOOPBACK) as door:
        transport = Transport(door, homeserver.base_url)
        token = public.login(transport, eve, Secret(unique)).pair.access
        body = {
            "room_alias_name": name,
            "creation_content": {"org.commweb.creation_key": action.creation_key},
        }
        made = transport.call("POST", "/_matrix/client/v3/createRoom", body=body, token=token)
    with pytest.raises(Refused) as caught:
        backend.create(ref(action), action)
    assert caught.value.errcode == "COMMWEB_ALIAS_TAKEN"
    assert session.client.alias(f"#{name}:localhost") == made.content["room_id"]


def test_people_come_and_go(backend: MatrixBackend, unique: str) -> None:
    room = make_room(backend, unique)
    anna, bert = make_account(backend, f"{unique}-a"), make_account(backend, f"{unique}-b")
    for _time in range(2):
        backend.join(room, Join("a", anna, "A", moderator=True))
        backend.join(room, Join("b", bert, "B"))
    members = look(backend, room).members
    assert {name for name, one in members.items() if one.membership == "join"} == {
        "@admin:localhost",
        anna,
        bert,
    }
    for _time in range(2):
        backend.remove(room, Remove("b", bert, "B"))
    assert look(backend, room).members[bert].membership == "leave"
    assert not look(backend, room).members[bert].by_self
    backend.join(room, Join("b", bert, "B"))
    assert look(backend, room).members[bert].membership == "join"


def test_somebody_who_leaves_by_himself_is_told_apart(
    backend: MatrixBackend,
    homeserver: Homeserver,
    make_people: Callable[..., list[str]],
    unique: str,
) -> None:
    room = make_room(backend, unique)
    name = make_people(homeserver, 1)[0]
    user = f"@{name}:localhost"
    backend.join(room, Join("1", user, "One"))
    with Door(LOOPBACK) as door:
        transport = Transport(door, homeserver.base_url)
        token = public.login(transport, name, Secret(unique)).pair.access
        path = f"/_matrix/client/v3/rooms/{quote(room.remote_id or '', safe='')}/leave"
        transport.call("POST", path, body={}, token=token)
    seen = look(backend, room).members[user]
    assert (seen.membership, seen.by_self) == ("leave", True)


def test_somebody_without_an_account_or_banned_cannot_join(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    room = make_room(backend, unique)
    with pytest.raises(Refused, match="no account"):
        backend.join(room, Join("1", f"@{unique}-nobody:localhost", "Nobody"))
    anna = make_account(backend, unique)
    banned = {"membership": "ban"}
    session.client.put_state(room.remote_id or "", "m.room.member", banned, anna)
    with pytest.raises(Refused, match="banned"):
        backend.join(room, Join("1", anna, "Anna"))
    backend.remove(room, Remove("1", anna, "Anna"))
    assert look(backend, room).members[anna].membership == "ban"


def test_accounts_are_made_kept_renamed_and_judged(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    anna = make_account(backend, unique)
    user = session.client.user(anna)
    assert user is not None
    assert (user.display_name, user.admin) == (unique.upper(), False)
    renamed = EnsureAccount("1", anna, "Anna", known=True, theirs=True, last_name=unique.upper())
    assert backend.ensure_account(renamed).usable
    user = session.client.user(anna)
    assert user is not None
    assert user.display_name == "Anna"
    path = f"/_synapse/admin/v1/deactivate/{quote(anna, safe='')}"
    session.context.tokens.read()
    session.client._caller.call("POST", path, body={"erase": False})
    for known in (True, False):
        action = EnsureAccount("1", anna, "Anna", known=known, theirs=True)
        facts = backend.ensure_account(action)
        assert not facts.usable
        assert "deactivated" in (facts.reason or "")


@pytest.mark.parametrize(
    "username", ["ÄÖÜ user", "a/b", "UPPER", "12345", "_under", "a@b.example", "x" * 400]
)
def test_every_user_name_becomes_an_account(
    backend: MatrixBackend, unique: str, username: str
) -> None:
    numeric = username.isdigit()
    remote = make_account(backend, username if numeric else f"{username[:1]}{unique}{username}")
    room = make_room(backend, unique)
    backend.join(room, Join("1", remote, "Somebody"))
    assert look(backend, room).members[remote].membership == "join"


def test_name_topic_picture_and_levels_change(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    room = make_room(backend, unique)
    before = session.client.state(room.remote_id or "", "m.room.power_levels")
    anna = make_account(backend, unique)
    for _time in range(2):
        backend.set_name(room, SetName("New name"))
        backend.set_topic(room, SetTopic("New topic"))
        backend.set_levels(room, SetLevels({anna: 50}, read_only=True))
    uri = backend.set_picture(room, SetPicture(Picture("d", "image/png", lambda: PNG)))
    seen = look(backend, room)
    assert (seen.name, seen.topic, seen.picture_uri) == ("New name", "New topic", uri)
    assert (seen.levels, seen.read_only) == ({anna: 50}, True)
    backend.set_topic(room, SetTopic(""))
    backend.set_picture(room, SetPicture(None))
    backend.set_levels(room, SetLevels({anna: None}, read_only=False))
    seen = look(backend, room)
    assert (seen.topic, seen.picture_uri, seen.levels, seen.read_only) == ("", None, {}, False)
    assert session.client.state(room.remote_id or "", "m.room.power_levels") == before


def test_a_picture_over_the_limit_is_refused(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    room = make_room(backend, unique)
    size = (session.client.largest_upload() or 0) + 1
    with pytest.raises(Refused, match="larger"):
        backend.set_picture(room, SetPicture(Picture("d", "image/png", lambda: b"x" * size)))


def invite_as(homeserver: Homeserver, name: str, password: str, room_id: str, user: str) -> None:
    with Door(LOOPBACK) as door:
        transport = Transport(door, homeserver.base_url)
        token = public.login(transport, name, Secret(password)).pair.access
        path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/invite"
        transport.call("POST", path, body={"user_id": user}, token=token)


def test_an_account_that_left_its_room_comes_back_on_an_invitation(
    session: HomeserverSession,
    backend: MatrixBackend,
    homeserver: Homeserver,
    make_people: Callable[..., list[str]],
    unique: str,
) -> None:
    name = make_people(homeserver, 1)[0]
    room = make_room(backend, unique, levels={f"@{name}:localhost": 50})
    backend.join(room, Join("1", f"@{name}:localhost", "Anna"))
    session.client.leave(room.remote_id or "")
    seen = look(backend, room)
    assert (seen.own_in_room, seen.own_can_manage) == (False, True)
    other = make_account(backend, f"{unique}-b")
    with pytest.raises(RoomUnsettled):
        backend.set_name(room, SetName("x"))
    with pytest.raises(RoomUnsettled):
        backend.join(room, Join("2", other, "B"))
    with pytest.raises(RoomUnsettled):
        backend.remove(room, Remove("1", f"@{name}:localhost", "Anna"))
    with pytest.raises(Refused, match="invite @admin:localhost again"):
        backend.repair_power(room, RepairPower())
    invite_as(homeserver, name, unique, room.remote_id or "", "@admin:localhost")
    backend.repair_power(room, RepairPower())
    seen = look(backend, room)
    assert (seen.own_in_room, seen.own_can_manage) == (True, True)
    backend.set_name(room, SetName("Back again"))


def test_in_older_rooms_another_administrator_gives_power_back(
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], Any],
    tmp_path: Path,
    unique: str,
) -> None:
    mine = sign_in(make_homeserver(config={"default_room_version": "11"}))
    stored = Stored.open(tmp_path / "site.db")
    stored.save(mine.access_token, mine.refresh_token, base_url=mine.base_url)
    session = HomeserverSession.open(stored.context(mine.base_url))
    backend = MatrixProvider().backend(session.context)
    assert isinstance(backend, MatrixBackend)
    anna = make_account(backend, unique)
    room = make_room(backend, unique, levels={anna: 100})
    backend.join(room, Join("1", anna, "Anna"))
    with pytest.raises(Refused, match="too little power"):
        backend.remove(room, Remove("1", anna, "Anna"))
    session.client.leave(room.remote_id or "")
    assert not look(backend, room).own_in_room
    backend.repair_power(room, RepairPower())
    seen = look(backend, room)
    assert (seen.own_in_room, seen.own_can_manage) == (True, True)
    session.close()
    backend.close()
    stored.close()


def test_a_room_is_deleted_and_gone(
    session: HomeserverSession, backend: MatrixBackend, unique: str
) -> None:
    room = make_room(backend, unique)
    delete_id = backend.delete(room, DeleteRoom())
    assert delete_id is not None
    pause = threading.Event()
    while delete_id is not None:
        pause.wait(0.1)
        delete_id = backend.delete(room, DeleteRoom(delete_id))
    assert backend.observe(room) is None
    with pytest.raises(ProviderError):
        backend.join(room, Join("1", make_account(backend, unique), "One"))


def test_a_room_that_never_was_is_gone(backend: MatrixBackend) -> None:
    assert backend.observe(RoomRef("42", "", "00", "!neverwas")) is None


def test_a_limit_that_was_met_says_how_long_to_wait(
    session: HomeserverSession, stored: Stored, unique: str, homeserver: Homeserver
) -> None:
    forget_limits(homeserver, "@admin:localhost")
    backend = MatrixProvider().backend(session.context)
    room = RoomRef("42", "", "00", session.client.create_room({"name": unique}))

    def rename_often() -> None:
        for number in range(40):
            backend.set_name(room, SetName(f"{unique} {number}"))

    with pytest.raises(RateLimited) as caught:
        rename_often()
    backend.close()
    assert (caught.value.retry_after_seconds or 0) > 0
    kept = stored.tokens().read()
    assert kept is not None
    assert kept.blocked_until is not None
    session.client.set_limits("@admin:localhost", Limits(0, 0))


def test_signing_in_with_a_wrong_password_is_refused(
    homeserver: Homeserver, admin_password: str
) -> None:
    values = {"home_server_url": homeserver.base_url}
    with pytest.raises(Refused, match="does not accept"):
        MatrixProvider().sign_in(values, LOOPBACK, "admin", Secret("wrong"))
    done = MatrixProvider().sign_in(values, LOOPBACK, "admin", Secret(admin_password))
    assert done.user_id == "@admin:localhost"
    assert done.device_id
    assert done.pair.refresh
    assert done.pair.expires_at


def test_signing_in_too_often_says_how_long_to_wait(
    make_homeserver: Callable[..., Homeserver],
) -> None:
    server = make_homeserver(default_login_limits=True)
    values = {"home_server_url": server.base_url}

    def try_often() -> None:
        for _time in range(10):
            with pytest.raises(Refused):
                MatrixProvider().sign_in(values, LOOPBACK, "nobody", Secret("wrong"))

    with pytest.raises(RateLimited) as caught:
        try_often()
    assert (caught.value.retry_after_seconds or 0) > 0
