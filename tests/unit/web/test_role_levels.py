"""Changing what a role may do, or whose account counts: said first, then done everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from commweb.accounts import link
from commweb.models import Account, MemberRow, RoomRow
from commweb.providers.matrix.provider import MatrixProvider
from commweb.web.consequences import consequences
from tests.sites import Site, student, switched_on, teacher
from tests.unit.web.conftest import Visitor, shown

PAGE = "/communication/admin/communication/providers/matrix"
TWO_ROOMS = "The power level of 2 people changes, in 2 rooms."


def quiet_matrix() -> MatrixProvider:
    """Tries no homeserver after a save."""
    provider = MatrixProvider()
    provider.check = lambda _context, _seconds: []
    return provider


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with switched_on(tmp_path, quiet_matrix()) as made:
        with made.app.app_context():
            made.comm.configure(
                "matrix",
                {"home_server_url": "https://hs.example", "element_web_url": "https://e.example"},
                access_token="a",
                refresh_token="r",
            )
            made.campus.add("1", teacher("ada"), student("bob"))
            made.campus.add("2", teacher("ada"), teacher("cyd"))
            for course in ("1", "2"):
                made.comm.course_created(course)
            made.db.session.commit()
        from commweb.sync.changes import fold

        fold(made.state)
        at_rest(made)
        yield made


def at_rest(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(synced_revision=RoomRow.revision))


def dirty(school: Site) -> int:
    with school.state.database.read() as connection:
        found = select(RoomRow.id).where(RoomRow.synced_revision < RoomRow.revision)
        return len(connection.execute(found).all())


def confirmed_people(school: Site) -> list[list[str]]:
    with school.state.database.read() as connection:
        found = select(RoomRow.confirmed_people).order_by(RoomRow.id)
        return list(connection.execute(found).scalars())


def level(school: Site, role: str) -> int:
    with school.app.app_context():
        return int(school.state.values(MatrixProvider())[f"level_{role}"])


def asked(admin: Visitor, response: TestResponse) -> str:
    """What the page says that asks before anything is saved."""
    assert response.status_code == 303
    assert response.headers["Location"].endswith("/changes")
    return shown(admin.get(f"{PAGE}/changes"))


def confirm(admin: Visitor, **other: str) -> TestResponse:
    """Press the button of that page."""
    return admin.send(f"{PAGE}/changes", **other)


@pytest.fixture
def admin(school: Site) -> Visitor:
    return Visitor(school)


def test_a_changed_level_is_said_before_it_is_saved(school: Site, admin: Visitor) -> None:
    said = asked(admin, admin.send(PAGE, level_teacher="60"))
    assert TWO_ROOMS in said
    assert "Nothing was saved yet" in said
    assert "Change the power level of 2 people" in said
    assert (level(school, "teacher"), dirty(school)) == (50, 0)


def test_a_confirmed_level_is_saved_and_every_room_is_looked_at(
    school: Site, admin: Visitor
) -> None:
    asked(admin, admin.send(PAGE, level_teacher="60"))
    assert "Changes saved" in admin.follow(confirm(admin))
    assert (level(school, "teacher"), dirty(school)) == (60, 2)


def test_a_confirmation_is_for_the_levels_that_were_shown(school: Site, admin: Visitor) -> None:
    asked(admin, admin.send(PAGE, level_teacher="60"))
    first = re.search(r'name="confirmed" value="([^"]+)"', admin.get(f"{PAGE}/changes").text)
    assert first
    asked(admin, admin.send(PAGE, level_teacher="0"))
    assert confirm(admin, confirmed=first[1]).status_code == 422
    assert level(school, "teacher") == 50


def test_a_level_nobody_has_is_saved_at_once(school: Site, admin: Visitor) -> None:
    assert admin.send(PAGE, level_admin="100").status_code == 303
    assert (level(school, "admin"), dirty(school)) == (100, 2)


def test_other_settings_ask_nothing_and_disturb_no_room(school: Site, admin: Visitor) -> None:
    assert admin.send(PAGE, sso_provider_id="oidc-school").status_code == 303
    assert dirty(school) == 0


def test_a_host_that_fails_to_answer_is_said(school: Site) -> None:
    school.campus.broken = True
    with school.app.app_context():
        found = consequences(school.state, MatrixProvider(), {"level_teacher": 60})
    assert found is not None
    assert found.sentences == (
        "The power levels change. The site could not say how many people that are.",
    )


def test_a_script_that_changes_levels_disturbs_the_rooms_too(school: Site) -> None:
    with school.app.app_context():
        school.comm.configure("matrix", {"level_student": 5})
    assert (level(school, "student"), dirty(school)) == (5, 2)


def test_who_would_have_to_leave_is_said_before_only_linked_accounts_count(
    school: Site, admin: Visitor
) -> None:
    with school.state.database.write() as connection:
        for room_id, person in ((1, "ada"), (1, "bob"), (2, "ada")):
            row = {"room_id": room_id, "person_id": person, "display_name": "", "state": "in"}
            connection.execute(MemberRow.__table__.insert().values(**row))
        for person in ("ada", "bob"):
            row = {"provider": "matrix", "person_id": person, "origin": "created"}
            row |= {"remote_user_id": f"@{person}:hs.example", "display_name": ""}
            connection.execute(Account.__table__.insert().values(**row))
        link(connection, "matrix", "bob", "@mine:hs.example")
    at_rest(school)
    said = asked(admin, admin.send(PAGE, account_mode="linked"))
    assert "1 person has linked no account and leaves 2 rooms." in said
    assert "Remove 1 person" in said
    assert dirty(school) == 0
    assert confirm(admin).status_code == 303
    assert dirty(school) == 2
    assert confirmed_people(school) == [["ada"], ["ada"]]


def test_signing_in_does_not_slip_changed_levels_past_the_confirmation(
    school: Site, admin: Visitor
) -> None:
    response = admin.send(
        PAGE, to=f"{PAGE}/sign-in", level_teacher="60", username="bot", password="secret"
    )
    assert response.status_code == 422
    assert "have to be confirmed" in shown(response)
    assert level(school, "teacher") == 50
