"""The way into the chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commweb.errors import Unreachable
from commweb.i18n import lazy_gettext
from commweb.providers.matrix.provider import MatrixProvider
from commweb.settings import Setting
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import student, switched_on, teacher
from tests.unit.web.course.conftest import CHAT, Classroom

MakeRoom = Callable[[], None]
ACCOUNT = 'href="/communication/account"'


class AccountsProvider(SimulatedProvider):
    """The simulated server, with a page on which people see to their accounts."""

    account_page = lazy_gettext("My Chat account")
    settings = (Setting("account_mode", "create"), Setting("ask_consent", False))


@pytest.fixture
def asking(tmp_path: Path, server: SimulatedServer) -> Iterator[Classroom]:
    """A course on a site that makes an account only for who agreed."""
    with switched_on(tmp_path, AccountsProvider(server)) as made:
        with made.app.app_context():
            made.comm.configure("simulated", {"ask_consent": True})
        made.campus.add("1", teacher("ada"), student("bob"))
        yield Classroom(made, server)


def test_a_member_is_sent_to_the_room(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    reply = classroom.visit("bob").get(CHAT)
    assert (reply.status_code, reply.location) == (303, "https://chat.example/#/room/!sim1")


def test_who_configures_without_being_a_member_is_sent_there_too(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    assert classroom.visit("admin").get(CHAT).status_code == 303


def test_somebody_who_is_not_in_the_room_is_told_why(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.school.campus.member_table["1"].append(student("dan"))
    reply = classroom.visit("dan").get(CHAT)
    assert reply.status_code == 404
    assert "You are not in the room" in reply.text


def test_who_left_is_told_how_to_come_back(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    classroom.leave("Algebra", "bob")
    page = classroom.page("bob", CHAT)
    assert "You left the room. Your teacher can add you back." in page
    classroom.leave("Algebra", "ada")
    assert "The page “Members of the room” has a button for it." in classroom.page("ada", CHAT)


def test_who_cannot_be_added_reads_the_reason(classroom: Classroom, make_room: MakeRoom) -> None:
    classroom.server.unusable["@bob:sim"] = "The account is deactivated."
    make_room()
    page = classroom.page("bob", CHAT)
    assert "You could not be added to the room: The account is deactivated." in page


def test_who_was_banned_in_the_chat_reads_that(classroom: Classroom, make_room: MakeRoom) -> None:
    make_room()
    members = classroom.room("Algebra").members
    members["@bob:sim"] = type(members["@bob:sim"])("ban")
    classroom.changed()
    assert "banned you from the room" in classroom.page("bob", CHAT)


def test_who_waits_for_an_account_is_shown_the_way_to_the_page_about_it(
    asking: Classroom,
) -> None:
    asking.choose("simulated")
    reply = asking.visit("bob").get(CHAT)
    assert reply.status_code == 404
    assert "Has to agree on the page “My Chat account”" in reply.text
    assert f"{ACCOUNT}>My Chat account</a>" in _content(reply.text)


def test_who_left_or_has_no_place_in_the_room_is_not_sent_to_the_account_page(
    asking: Classroom,
) -> None:
    with asking.school.app.app_context():
        asking.school.comm.configure("simulated", {"ask_consent": False})
    asking.choose("simulated")
    asking.leave("Algebra", "bob")
    asking.school.campus.member_table["1"].append(student("dan"))
    for person in ("bob", "dan"):
        assert ACCOUNT not in _content(asking.visit(person).get(CHAT).text)


def test_a_provider_without_such_a_page_has_no_link_to_it(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    classroom.server.unusable["@bob:sim"] = "The account is deactivated."
    make_room()
    assert ACCOUNT not in classroom.visit("bob").get(CHAT).text


def _content(page: str) -> str:
    """The page without its menu."""
    return page[page.index("<h1>") :]


def test_a_room_that_is_not_made_yet_is_promised(classroom: Classroom) -> None:
    classroom.save("simulated")
    assert "Your Simulated room will be ready soon." in classroom.page("bob", CHAT)


def test_a_room_that_cannot_be_made_says_why(classroom: Classroom) -> None:
    classroom.server.faults = [Unreachable("The server does not answer.")]
    classroom.server.answering = False
    classroom.choose("simulated")
    assert "The server does not answer." in classroom.page("bob", CHAT)


def test_a_course_without_a_room_says_so_and_tells_the_teacher_what_to_do(
    classroom: Classroom,
) -> None:
    assert "This course has no chat room." in classroom.page("bob", CHAT)
    assert "Choose a provider" not in classroom.page("bob", CHAT)
    assert "Choose a provider on the Communication page" in classroom.page("ada", CHAT)


def test_it_is_for_the_people_of_the_course(classroom: Classroom) -> None:
    assert classroom.visit("eve").get(CHAT).status_code == 403
    assert classroom.visit("").get(CHAT).status_code == 302


def test_a_suspended_course_member_is_not_sent_anywhere(
    classroom: Classroom, make_room: MakeRoom
) -> None:
    make_room()
    classroom.changed(teacher("ada"), student("bob", active=False), student("cyd"))
    assert classroom.visit("bob").get(CHAT).status_code == 404


@pytest.mark.parametrize(
    ("person", "web"),
    [
        ("@bob:hs.example", "https://app.example/#/room/!a%2Fb:hs.example"),
        (None, "https://app.example/#/room/!a%2Fb:hs.example"),
        ("@bob:else.example", "https://matrix.to/#/!a%2Fb%3Ahs.example?via=hs.example"),
    ],
)
def test_who_has_an_account_elsewhere_is_sent_by_way_of_matrix_to(
    person: str | None, web: str
) -> None:
    values = {"element_web_url": "https://app.example"}
    links = MatrixProvider().room_links(values, "!a/b:hs.example", person, "hs.example")
    assert links.web == web
    assert links.app == "matrix:roomid/a%2Fb%3Ahs.example?via=hs.example"
