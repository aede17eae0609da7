"""What the host shows on pages of its own: a course's status, the menu, the include."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commweb import CourseStatus, MenuItem
from tests.embedding.college import comm
from tests.embedding.visiting import Open, Visitor, links, open_college, shown


def told(visitor: Visitor, number: str) -> str:
    """What the host's own words say about the room, from ``comm.course_status``."""
    found = re.search(r'<p id="told">(.*?)</p>', visitor.get(f"/papers/{number}").text)
    assert found
    return found[1]


def entries(visitor: Visitor) -> list[str]:
    """The menu the host draws."""
    menu = visitor.get("/papers/").text.split('id="college-menu"')[1].split("</nav>")[0]
    return [text for text in re.sub(r"<[^>]+>", "\n", menu[1:]).splitlines() if text.strip()]


def test_the_include_tells_the_author_that_a_room_comes_and_then_opens_it(college: Open) -> None:
    agnes = Visitor(college, "agnes")
    number = college.write("Astronomy", "cuthbert")
    page = agnes.get(f"/papers/{number}")
    assert "Your Simulated room will be ready soon." in shown(page)
    assert "/communication/_commweb/static/status.js" in links(page)
    poll = next(url for url in links(page) if "/api/v1/" in url)
    assert agnes.get(poll).get_json()["status"] == "pending"
    college.run("commweb", "sync")
    page = agnes.get(f"/papers/{number}")
    assert f"/communication/courses/{number}/chat" in links(page)
    assert f"/communication/courses/{number}/communication" in links(page)
    assert 'id="college-menu"' in page.text


def test_the_include_tells_a_student_nothing_until_there_is_a_room(college: Open) -> None:
    number = college.write("Astronomy", "cuthbert")
    cuthbert = Visitor(college, "cuthbert")
    assert "commweb" not in cuthbert.get(f"/papers/{number}").text
    college.run("commweb", "sync")
    page = cuthbert.get(f"/papers/{number}")
    assert "Open chat" in shown(page)
    assert f"/communication/courses/{number}/communication" not in links(page)


def test_the_include_works_in_a_list_with_numbers_for_ids(college: Open) -> None:
    for title in ("Astronomy", "Botany"):
        college.write(title)
    found = links(Visitor(college, "agnes").get("/papers/"))
    for number in (1, 2):
        assert f"/communication/courses/{number}/communication" in found


def test_the_include_shows_a_stranger_nothing(college: Open) -> None:
    number = college.write("Astronomy")
    college.run("commweb", "sync")
    assert "Open chat" not in shown(Visitor(college).get(f"/papers/{number}"))


def test_course_status_says_the_same_as_data(college: Open) -> None:
    agnes = Visitor(college, "agnes")
    number = college.write("Astronomy", "cuthbert")
    assert told(agnes, number) == "pending: Your Simulated room will be ready soon."
    college.run("commweb", "sync")
    assert told(agnes, number) == "ready: Your Simulated room is ready."
    with college.app.test_request_context("/"):
        status = comm.course_status(number, None)
    assert status == CourseStatus(None, None, (), None, None)


def test_the_menu_is_data_that_the_host_draws_for_who_may_administer(college: Open) -> None:
    assert entries(Visitor(college, "agnes")) == [
        "Papers",
        "Site administration",
        "Development",
        "Experimental settings",
        "Plugins",
        "Communication",
        "Manage communication providers",
        "Rooms",
    ]
    for other in ("bede", None):
        assert entries(Visitor(college, other)) == ["Papers"]


def test_while_the_subsystem_is_off_the_hosts_pages_show_no_communication(tmp_path: Path) -> None:
    with open_college(tmp_path / "college", on=False) as college:
        number = college.write("Astronomy")
        agnes = Visitor(college, "agnes")
        assert "Communication" not in entries(agnes)
        assert "Experimental settings" in entries(agnes)
        assert 'class="commweb' not in agnes.get(f"/papers/{number}").text
        assert told(agnes, number) == "None: None"


def test_a_menu_item_is_text_address_and_children(college: Open) -> None:
    with college.app.test_request_context("/"):
        host = college.state.host
        warden = next(
            person for person in map(host.person, _ids(college)) if person.username == "agnes"
        )
        (item,) = comm.navigation(warden)
    assert isinstance(item, MenuItem)
    assert item.url == "/communication/admin/"
    assert all(child.url is None for child in item.children)


def _ids(college: Open) -> list[str]:
    from tests.embedding.college.models import Scholar, db

    with college.app.app_context():
        return list(db.session.scalars(db.select(Scholar.id)))


@pytest.mark.parametrize("prefix", ["", "/lms/communication"])
def test_the_hosts_pages_link_below_the_prefix_and_script_name(tmp_path: Path, prefix: str) -> None:
    with open_college(tmp_path / "college", COMMWEB_URL_PREFIX=prefix) as college:
        number = college.write("Astronomy")
        found = links(Visitor(college, "agnes", root="/school").get(f"/school/papers/{number}"))
    assert f"/school{prefix}/courses/{number}/communication" in found
    assert f"/school{prefix}/admin/" in found
