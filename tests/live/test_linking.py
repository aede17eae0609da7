"""Accounts of people's own on a real Synapse: linking with a code, invitations, passwords."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from sqlalchemy import select

from commweb.models import MemberRow, RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, person, site, student, teacher
from tests.synapse_eyes import SynapseEyes
from tests.unit.web.conftest import Visitor, beside

PAGE = "/communication/account"
CLIENT = "/_matrix/client/v3"
PATIENCE_SECONDS = 20.0


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
                },
                access_token=admin_session.access_token,
                refresh_token=admin_session.refresh_token,
            )
        yield made


@pytest.fixture
def eyes(homeserver: Homeserver) -> SynapseEyes:
    return SynapseEyes(homeserver)


@dataclass
class Chatter:
    """Somebody in front of a chat app: speaks the client API with a token of his own."""

    homeserver: Homeserver
    user_id: str
    token: str

    def ask(self, method: str, path: str, **more: Any) -> Any:
        with requests.request(
            method,
            f"{self.homeserver.base_url}{CLIENT}{path}",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            **more,
        ) as answer:
            assert answer.ok, answer.text
            return answer.json()

    def invitations(self) -> dict[str, Any]:
        """What the account is invited to, by room id. Asked twice, it is answered from a cache."""
        found: dict[str, Any] = self.ask("GET", "/sync?timeout=0").get("rooms", {})
        return dict(found.get("invite", {}))

    def joined(self) -> list[str]:
        return list(self.ask("GET", "/joined_rooms")["joined_rooms"])

    def join(self, room_id: str) -> None:
        self.ask("POST", f"/rooms/{quote(room_id, safe='')}/join", json={})

    def leave(self, room_id: str) -> None:
        self.ask("POST", f"/rooms/{quote(room_id, safe='')}/leave", json={})

    def read_code(self) -> str:
        """Accept the one invitation and read the code that is written there."""
        ((room_id, room),) = self.invitations().items()
        own = [e for e in room["invite_state"]["events"] if e.get("state_key") == self.user_id]
        assert own[0]["content"]["is_direct"] is True
        self.join(room_id)
        path = f"/rooms/{quote(room_id, safe='')}/messages?dir=b&limit=10"
        (event,) = [e for e in self.ask("GET", path)["chunk"] if e["type"] == "m.room.message"]
        assert event["content"]["msgtype"] == "m.text"
        found = re.search(r"\b\d{6,8}\b", event["content"]["body"])
        assert found
        return found[0]


@pytest.fixture
def chatter(homeserver: Homeserver, unique: str) -> Callable[[str], Chatter]:
    """Make an account and sign it in."""

    def make(name: str, *, register: bool = True) -> Chatter:
        username = f"{unique}-{name}"
        if register:
            homeserver.ensure_people([(username, name.title())], unique)
        answer = homeserver.login(username, unique)
        return Chatter(homeserver, answer["user_id"], answer["access_token"])

    return make


def configure(school: Site, **values: Any) -> None:
    with school.app.app_context():
        school.comm.configure("matrix", values)


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def new_course(school: Site, course_id: str, *members: Any) -> str:
    school.campus.add(course_id, *members)
    with school.app.app_context():
        school.comm.course_created(course_id)
        school.db.session.commit()
    return look(school, course_id)


def look(school: Site, course_id: str) -> str:
    """Let the worker look at the course again; the room's id."""
    with school.app.app_context():
        school.comm.course_changed(course_id)
        school.db.session.commit()
    work(school)
    with school.state.database.read() as connection:
        query = select(RoomRow.remote_id).where(RoomRow.course_id == course_id)
        return str(connection.execute(query).scalar_one())


def standing(school: Site, person_id: str) -> tuple[str, str | None, str | None]:
    """State, account and reason."""
    with school.state.database.read() as connection:
        query = select(MemberRow.state, MemberRow.remote_user_id, MemberRow.reason)
        row = connection.execute(query.where(MemberRow.person_id == person_id)).one()
    return row[0], row[1], row[2]


def press(visitor: Visitor, action: str, **fields: str) -> Any:
    return visitor.post(f"{PAGE}/{action}", csrf_token=visitor.token(PAGE), **fields)


def test_a_linked_account_replaces_the_one_that_was_made(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    ada, own = f"{unique}-ada", chatter("own")
    room_id = new_course(school, unique, teacher(ada))
    made = f"@{ada}:localhost"
    assert eyes.room(room_id).levels.get(made) == 50

    visitor = Visitor(school, ada)
    assert made in visitor.get(PAGE).text
    assert visitor.follow(press(visitor, "link", user_id=own.user_id))
    code = own.read_code()
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    assert "4 more times" in beside(press(visitor, "confirm", code=wrong), "code")
    assert "is linked" in visitor.follow(press(visitor, "confirm", code=code))

    work(school)
    seen = eyes.room(room_id)
    assert seen.joined == {"@admin:localhost", own.user_id}
    assert seen.levels.get(own.user_id) == 50
    assert made not in seen.levels
    assert eyes.display_name(own.user_id) == "Own"
    assert "You are in the room." in visitor.get(PAGE).text

    assert "The account was unlinked." in visitor.follow(press(visitor, "unlink"))
    work(school)
    assert eyes.room(room_id).joined == {"@admin:localhost", made}


@pytest.mark.parametrize("how", ["ban", "kick"])
def test_a_banned_person_stays_out_with_another_account(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter], how: str
) -> None:
    ada, second, moderator = f"{unique}-ada", chatter("second"), chatter("tess")
    tess = teacher(f"{unique}-tess")
    object.__setattr__(tess, "person", person(tess.person.id, matrix_user_id=moderator.user_id))
    room_id = new_course(school, unique, tess, student(ada))
    made = f"@{ada}:localhost"
    moderator.ask("POST", f"/rooms/{quote(room_id, safe='')}/{how}", json={"user_id": made})

    visitor = Visitor(school, ada)
    press(visitor, "link", user_id=second.user_id)
    assert "is linked" in visitor.follow(press(visitor, "confirm", code=second.read_code()))
    look(school, unique)
    assert eyes.room(room_id).joined == {"@admin:localhost", moderator.user_id}
    assert standing(school, ada)[0] == {"ban": "banned", "kick": "kicked"}[how]
    told = {"ban": "banned you from the room", "kick": "You were removed in the chat."}[how]
    assert told in visitor.get(PAGE).text


def test_the_room_of_the_code_is_gone_once_the_code_was_typed(
    school: Site, unique: str, chatter: Callable[..., Chatter]
) -> None:
    visitor, own = Visitor(school, f"{unique}-ada"), chatter("own")
    press(visitor, "link", user_id=own.user_id)
    code = own.read_code()
    assert len(own.joined()) == 1
    assert press(visitor, "confirm", code=code).status_code == 303
    until(lambda: not own.joined())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_is_no_account_of_the_homeserver_cannot_be_linked(
    school: Site, unique: str, chatter: Callable[..., Chatter]
) -> None:
    response = press(Visitor(school, f"{unique}-ada"), "link", user_id="somebody")
    assert response.status_code == 422
    assert "looks like @name:example.org" in beside(response, "user_id")
    answers = set()
    for number, typed in enumerate((f"@{unique}-nobody:localhost", chatter("else").user_id)):
        visitor = Visitor(school, f"{unique}-ada{number}")
        response = press(visitor, "link", user_id=typed)
        answers.add((response.status_code, visitor.follow(response).replace(typed, "")))
        for code in ("00000000", "12345678"):
            assert press(visitor, "confirm", code=code).status_code == 422
    assert len(answers) == 1, "nobody learns which accounts there are"


def test_a_linked_account_is_never_renamed_and_never_made(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    ada, own = f"{unique}-ada", chatter("own")
    configure(school, link_without_proof=True)
    visitor = Visitor(school, ada)
    assert press(visitor, "link", user_id=own.user_id).status_code == 303
    new_course(school, unique, student(ada))
    assert standing(school, ada)[:2] == ("in", own.user_id)
    assert eyes.display_name(own.user_id) == "Own"


def test_an_account_the_host_names_is_used_and_keeps_its_name(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    own = chatter("own")
    member = student(f"{unique}-ada")
    object.__setattr__(member, "person", person(f"{unique}-ada", matrix_user_id=own.user_id))
    room_id = new_course(school, unique, member)
    assert own.user_id in eyes.room(room_id).joined
    assert eyes.display_name(own.user_id) == "Own"


def test_in_invite_mode_people_accept_by_themselves(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    configure(school, account_mode="invite", existing_accounts="trust")
    ada, bob = chatter("ada"), f"{unique}-bob"
    room_id = new_course(school, unique, teacher(f"{unique}-ada"), student(bob))
    assert eyes.room(room_id).members[ada.user_id] == "invite"
    assert standing(school, f"{unique}-ada")[0] == "invited"
    state, _account, reason = standing(school, bob)
    assert state == "failing"
    assert reason == f"There is no account @{bob}:localhost on the homeserver."

    before = eyes.room(room_id).event_ids
    look(school, unique)
    assert eyes.room(room_id).event_ids == before

    visitor = Visitor(school, f"{unique}-ada")
    assert "You are invited. Open the chat to accept." in visitor.get(PAGE).text
    ada.join(room_id)
    look(school, unique)
    assert standing(school, f"{unique}-ada")[0] == "in"
    assert eyes.room(room_id).levels.get(ada.user_id) == 50


def test_who_declines_the_invitation_is_not_invited_again(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    configure(school, account_mode="invite", existing_accounts="trust")
    ada = chatter("ada")
    room_id = new_course(school, unique, student(f"{unique}-ada"))
    ada.leave(room_id)
    look(school, unique)
    look(school, unique)
    assert eyes.room(room_id).members[ada.user_id] == "leave"
    assert standing(school, f"{unique}-ada")[0] == "left"


def test_in_linked_mode_only_people_with_an_account_of_their_own_are_in(
    school: Site, eyes: SynapseEyes, unique: str, chatter: Callable[..., Chatter]
) -> None:
    configure(school, account_mode="linked", link_without_proof=True)
    ada, bob, own = f"{unique}-ada", f"{unique}-bob", chatter("own")
    visitor = Visitor(school, ada)
    press(visitor, "link", user_id=own.user_id)
    room_id = new_course(school, unique, student(ada), student(bob))
    assert eyes.room(room_id).joined == {"@admin:localhost", own.user_id}
    state, account, reason = standing(school, bob)
    assert (state, account) == ("waiting", None)
    assert reason == "Has to link an account on the page “My Matrix account”."


def test_consent_comes_before_the_account(
    school: Site, eyes: SynapseEyes, unique: str, homeserver: Homeserver
) -> None:
    configure(school, ask_consent=True)
    ada = f"{unique}-ada"
    room_id = new_course(school, unique, student(ada))
    assert standing(school, ada)[0] == "waiting"
    visitor = Visitor(school, ada)
    assert press(visitor, "agree").status_code == 303
    work(school)
    assert f"@{ada}:localhost" in eyes.room(room_id).joined


def test_a_chat_password_lets_the_person_sign_in_and_signs_other_devices_out(
    school: Site, unique: str, homeserver: Homeserver, chatter: Callable[..., Chatter]
) -> None:
    configure(school, allow_chat_password=True)
    ada = f"{unique}-ada"
    new_course(school, unique, student(ada))
    visitor = Visitor(school, ada)
    response = press(visitor, "password", password=unique * 2, password_again=unique * 2)
    assert "The chat password is set." in visitor.follow(response)
    token = homeserver.login(ada, unique * 2)["access_token"]
    first = Chatter(homeserver, f"@{ada}:localhost", token)
    assert first.ask("GET", "/account/whoami")["user_id"] == f"@{ada}:localhost"
    press(visitor, "password", password=unique * 3, password_again=unique * 3)
    with pytest.raises(AssertionError, match="M_UNKNOWN_TOKEN"):
        first.ask("GET", "/account/whoami")
    assert homeserver.login(ada, unique * 3)


def test_an_account_that_was_there_before_gets_no_password(
    school: Site, unique: str, chatter: Callable[..., Chatter]
) -> None:
    configure(school, allow_chat_password=True)
    chatter("ada")
    new_course(school, unique, student(f"{unique}-ada"))
    visitor = Visitor(school, f"{unique}-ada")
    assert "Set a chat password" not in visitor.get(PAGE).text
    response = press(visitor, "password", password=unique * 2, password_again=unique * 2)
    assert response.status_code == 403


def test_a_changed_map_of_roles_reaches_every_room(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    ada, bob = f"{unique}-ada", f"{unique}-bob"
    rooms = [
        new_course(school, f"{unique}-{number}", teacher(ada), student(bob)) for number in (1, 2)
    ]
    configure(school, level_teacher=75, level_student=10)
    work(school)
    for room_id in rooms:
        levels = eyes.room(room_id).levels
        assert (levels[f"@{ada}:localhost"], levels[f"@{bob}:localhost"]) == (75, 10)


def test_a_level_of_100_can_be_taken_away_again_in_old_and_new_rooms(
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], AdminSession],
    lift_limits: Callable[[Homeserver], None],
    tmp_path: Path,
    unique: str,
) -> None:
    for version, highest in (("11", 99), ("12", 100)):
        server = make_homeserver(config={"default_room_version": version})
        lift_limits(server)
        session, eyes = sign_in(server), SynapseEyes(server)
        folder = tmp_path / version
        folder.mkdir()
        with site(folder, COMMWEB_ALLOWED_PRIVATE_HOSTS="127.0.0.0/8") as school:
            with school.app.app_context():
                school.comm.set_enabled(True)
                school.comm.configure(
                    "matrix",
                    {
                        "home_server_url": session.base_url,
                        "element_web_url": "https://app.element.io",
                        "level_teacher": 100,
                    },
                    access_token=session.access_token,
                    refresh_token=session.refresh_token,
                )
            ada = f"@{unique}-ada:localhost"
            room_id = new_course(school, unique, teacher(f"{unique}-ada"))
            assert eyes.room(room_id).levels[ada] == highest
            configure(school, level_teacher=50)
            work(school)
            assert eyes.room(room_id).levels[ada] == 50
