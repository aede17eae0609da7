"""Custom link on the pages: entered by a teacher, shown to every member at once."""

from __future__ import annotations

import pytest

from commweb.models import RoomRow
from tests.unit.web.conftest import beside, shown
from tests.unit.web.course.conftest import (
    API,
    CHAT,
    MEMBERS,
    PROVIDERS,
    Classroom,
    visible_fields,
)

LINK = "https://chat.example/join?code=1&x=2#algebra"


def test_every_member_has_the_link_at_once_and_no_room_is_made(classroom: Classroom) -> None:
    classroom.save("customlink", customlink__url=f" {LINK} ")
    for who in ("ada", "bob", "cyd"):
        reply = classroom.visit(who).get(CHAT)
        assert (reply.status_code, reply.headers["Location"]) == (303, LINK)
    classroom.work()
    assert classroom.server.calls == []
    with classroom.school.state.database.read() as connection:
        assert connection.execute(RoomRow.__table__.select()).all() == []


def test_the_service_says_ready_with_the_address(classroom: Classroom) -> None:
    classroom.save("customlink", customlink__url=LINK)
    for who in ("ada", "bob"):
        told = classroom.visit(who).get(API).get_json()
        assert (told["status"], told["url"]) == ("ready", LINK)
        assert [room["provider"] for room in told["rooms"]] == ["customlink"]


def test_an_empty_address_is_refused(classroom: Classroom) -> None:
    reply = classroom.save("customlink")
    assert reply.status_code == 422
    assert beside(reply, "customlink-url") == "This field is required."
    assert "customlink-url" in visible_fields(reply.text), "its fields are shown now"


@pytest.mark.parametrize("typed", ["javascript:alert(1)", "ftp://a.example", "https://a b"])
def test_what_is_no_web_address_is_refused_and_stays_as_typed(
    classroom: Classroom, typed: str
) -> None:
    reply = classroom.save("customlink", customlink__url=typed)
    assert reply.status_code == 422
    assert beside(reply, "customlink-url")
    assert f'value="{typed}"' in reply.text
    assert classroom.fields() == {"provider": ""}


def test_a_new_course_that_chose_it_asks_its_teacher_for_the_address(
    classroom: Classroom,
) -> None:
    with classroom.school.app.app_context():
        classroom.school.comm.course_created("1", provider="customlink")
        classroom.school.db.session.commit()
    for _before_and_after_the_worker in range(2):
        assert "The link to the chat is missing" in classroom.page("ada")
        assert "The link to the chat is missing" in classroom.page("bob", CHAT)
        assert classroom.visit("bob").get(API).get_json()["status"] is None
        classroom.work()


def test_the_admin_turns_it_off_and_on_like_any_other(classroom: Classroom) -> None:
    classroom.save("customlink", customlink__url=LINK)
    admin = classroom.visit("admin")
    assert "Custom link" in shown(admin.get(PROVIDERS))
    admin.press(f"{PROVIDERS}/customlink/disable", PROVIDERS)
    assert classroom.visit("bob").get(CHAT).status_code == 404
    admin.press(f"{PROVIDERS}/customlink/enable", PROVIDERS)
    assert classroom.visit("bob").get(CHAT).headers["Location"] == LINK


def test_it_has_no_settings_page_and_cannot_be_uninstalled(classroom: Classroom) -> None:
    admin = classroom.visit("admin")
    assert admin.get(f"{PROVIDERS}/customlink").status_code == 404
    reply = admin.press(f"{PROVIDERS}/customlink/uninstall", PROVIDERS)
    assert reply.status_code == 403


def test_it_has_no_room_to_list_members_of(classroom: Classroom) -> None:
    classroom.save("customlink", customlink__url=LINK)
    assert "This course has no room yet." in classroom.page("ada", MEMBERS)
    assert "Members of the room" not in classroom.page("ada")
