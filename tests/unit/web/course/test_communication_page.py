"""The Communication page: a provider and what it asks for, kept for each provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import select

from commweb import CourseImage
from commweb.models import Change, CourseChoice
from tests.unit.web.conftest import beside, shown
from tests.unit.web.course.conftest import EDIT, MEMBERS, PROVIDERS, Classroom

LINK = "https://chat.example/a?b=1#c"


def test_only_the_fields_of_the_chosen_provider_are_shown(classroom: Classroom) -> None:
    assert classroom.fields().keys() == {"provider"}
    classroom.choose("simulated")
    assert classroom.fields().keys() == {
        "provider", "simulated-name", "simulated-topic", "simulated-picture",
    }  # fmt: skip
    classroom.choose("customlink", customlink__url=LINK)
    assert classroom.fields() == {"provider": "customlink", "customlink-url": LINK}


def test_update_shows_another_providers_fields_and_stores_nothing(classroom: Classroom) -> None:
    classroom.choose("simulated", simulated__name="Numbers")
    reply = classroom.save("customlink", simulated__name="Letters", update="1")
    assert reply.status_code == 200
    assert "customlink-url" in reply.text
    assert 'value="Letters"' in reply.text, "what was typed before is not lost"
    assert classroom.fields()["simulated-name"] == "Numbers"
    assert not shown(reply).count("This field is required.")


def test_what_was_entered_is_kept_for_each_provider(classroom: Classroom) -> None:
    classroom.choose("simulated", simulated__name="Numbers", simulated__topic="Ask!")
    classroom.choose("customlink", customlink__url=LINK)
    classroom.choose("")
    classroom.choose("simulated")
    assert classroom.fields()["simulated-name"] == "Numbers"
    assert classroom.room("Numbers").topic == "Ask!"
    classroom.choose("customlink")
    assert classroom.fields()["customlink-url"] == LINK


def test_a_form_that_names_only_the_provider_keeps_the_rest(classroom: Classroom) -> None:
    classroom.choose("simulated", simulated__name="Numbers")
    ada = classroom.visit("ada")
    ada.post(EDIT, provider="simulated", csrf_token=ada.token(EDIT))
    assert classroom.fields()["simulated-name"] == "Numbers"


def test_an_empty_room_name_follows_the_courses_name(classroom: Classroom) -> None:
    classroom.choose("simulated")
    assert 'placeholder="Algebra"' in classroom.visit("ada").get(EDIT).text
    classroom.school.campus.course_table["1"] = replace(
        classroom.school.campus.course_table["1"], full_name="Algebra II"
    )
    classroom.changed()
    assert classroom.inside("Algebra II") == {"ada", "bob", "cyd"}


def test_switching_away_takes_the_people_out_and_back_finds_the_same_room(
    classroom: Classroom,
) -> None:
    classroom.choose("simulated")
    before = classroom.room("Algebra").id
    classroom.choose("customlink", customlink__url=LINK)
    assert classroom.inside("Algebra") == set()
    classroom.choose("simulated")
    assert classroom.room("Algebra").id == before
    assert classroom.inside("Algebra") == {"ada", "bob", "cyd"}


def test_a_room_that_is_wanted_again_is_pending_until_it_was_looked_at(
    classroom: Classroom,
) -> None:
    classroom.choose("simulated")
    classroom.choose("")
    assert "room" not in classroom.page("ada").split("Provider")[0]
    classroom.save("simulated")
    assert "Your Simulated room is" not in classroom.page("ada")
    classroom.work()
    assert "Your Simulated room is ready." in classroom.page("ada")


def test_the_way_to_the_members_is_there_before_the_room_is(classroom: Classroom) -> None:
    # Nothing reloads the page when the room has been made.
    classroom.save("simulated")
    assert MEMBERS in classroom.visit("ada").get(EDIT).text
    assert "This course has no room yet." in shown(classroom.visit("ada").get(MEMBERS))


def test_a_topic_that_is_too_long_is_refused_beside_it_and_the_rest_stays(
    classroom: Classroom,
) -> None:
    reply = classroom.save("simulated", simulated__name="Numbers", simulated__topic="x" * 256)
    assert reply.status_code == 422
    assert beside(reply, "simulated-topic") == "Use at most 255 characters."
    assert 'value="Numbers"' in reply.text
    assert "Nothing was saved." in shown(reply)
    assert 'href="#simulated-topic"' in reply.text
    assert classroom.fields() == {"provider": ""}


def test_a_wrong_field_of_a_provider_that_is_not_chosen_stops_nobody(
    classroom: Classroom,
) -> None:
    reply = classroom.save("simulated", customlink__url="not an address")
    assert reply.status_code == 303
    classroom.save("customlink", update="1")
    assert "not an address" not in classroom.visit("ada").get(EDIT).text


def test_the_courses_image_is_the_rooms_picture_unless_it_is_unticked(
    classroom: Classroom,
) -> None:
    image = CourseImage("d1", "image/png", lambda: b"png")
    table = classroom.school.campus.course_table
    table["1"] = replace(table["1"], image=image)
    classroom.choose("simulated")
    assert classroom.room("Algebra").picture_uri
    classroom.choose("simulated", simulated__picture=None)
    assert classroom.room("Algebra").picture_uri is None
    assert 'name="simulated-picture" type="checkbox" value="y"' in (
        classroom.visit("ada").get(EDIT).text
    )


def test_the_choice_and_its_report_are_stored_together(classroom: Classroom) -> None:
    classroom.save("simulated")
    with classroom.school.state.database.read() as connection:
        assert connection.execute(select(CourseChoice.provider)).scalars().all() == ["simulated"]
        assert connection.execute(select(Change.course_id)).scalars().all() == ["1"]


def test_a_provider_that_is_turned_off_stays_the_courses_until_it_is_back(
    classroom: Classroom, make_room: Callable[[], None]
) -> None:
    make_room()
    admin = classroom.visit("admin")
    assert admin.press(f"{PROVIDERS}/simulated/disable", PROVIDERS).status_code == 303
    page = classroom.page("ada")
    assert "This course uses Simulated, which is turned off now." in page
    assert "Simulated (turned off)" in page
    assert "room is ready" not in page
    classroom.choose("simulated", simulated__name="Numbers")
    assert classroom.room("Algebra"), "nothing is sent while it is off"
    admin.press(f"{PROVIDERS}/simulated/enable", PROVIDERS)
    classroom.work()
    assert classroom.inside("Numbers") == {"ada", "bob", "cyd"}
    assert "turned off" not in classroom.page("ada")


def test_other_courses_cannot_choose_a_provider_that_is_turned_off(classroom: Classroom) -> None:
    classroom.visit("admin").press(f"{PROVIDERS}/simulated/disable", PROVIDERS)
    assert "Simulated" not in classroom.page("ada")
    assert classroom.save("simulated").status_code == 422


def test_while_the_subsystem_is_off_the_page_is_not_there_and_then_it_is_as_before(
    classroom: Classroom,
) -> None:
    classroom.choose("simulated", simulated__name="Numbers")
    with classroom.school.app.app_context():
        classroom.school.comm.set_enabled(False)
    assert classroom.visit("ada").get(EDIT).status_code == 404
    with classroom.school.app.app_context():
        classroom.school.comm.set_enabled(True)
    assert classroom.fields()["simulated-name"] == "Numbers"


def test_a_hidden_course_says_that_its_room_is_read_only_and_opens_again(
    classroom: Classroom,
) -> None:
    classroom.choose("simulated")
    table = classroom.school.campus.course_table
    table["1"] = replace(table["1"], visible=False)
    classroom.changed()
    assert classroom.room("Algebra").read_only
    page = classroom.page("ada")
    assert "Your Simulated room is read-only while the course is not open." in page
    assert "The course is hidden, so only teachers can write in its rooms." in page
    table["1"] = replace(table["1"], visible=True)
    classroom.changed()
    assert not classroom.room("Algebra").read_only
    assert classroom.inside("Algebra") == {"ada", "bob", "cyd"}
    assert "only teachers" not in classroom.page("ada")


def test_a_student_may_not_see_the_page(classroom: Classroom) -> None:
    assert classroom.visit("bob").get(EDIT).status_code == 403
