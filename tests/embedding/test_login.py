"""The host's own login, and who may see what."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.embedding.visiting import Open, Visitor, open_college, shown

PROVIDERS = "/communication/admin/communication/providers"


def test_a_stranger_is_sent_to_the_hosts_door_and_comes_back(college: Open) -> None:
    stranger = Visitor(college)
    sent = stranger.get(f"{PROVIDERS}?page=2")
    assert sent.status_code == 302
    door = urlsplit(sent.headers["Location"])
    assert door.path == "/door"
    assert parse_qs(door.query) == {"back": [f"{PROVIDERS}?page=2"]}
    back = stranger.send(sent.headers["Location"], handle="agnes")
    assert back.headers["Location"] == f"{PROVIDERS}?page=2"
    assert stranger.get(back.headers["Location"]).status_code == 200


def test_where_nobody_can_log_in_a_stranger_gets_401_in_the_hosts_layout(tmp_path: Path) -> None:
    with open_college(tmp_path / "college", DOOR=False) as college:
        page = Visitor(college).get(PROVIDERS)
    assert page.status_code == 401
    assert "Log in first" in shown(page)
    assert 'id="college-menu"' in page.text


def test_the_json_service_answers_a_stranger_with_a_401_problem(college: Open) -> None:
    number = college.write("Astronomy")
    answer = Visitor(college).get(f"/communication/api/v1/courses/{number}/room")
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"


def test_what_the_host_allows_is_what_a_person_may_do(college: Open) -> None:
    number = college.write("Astronomy", "cuthbert")
    settings = f"/communication/courses/{number}/communication"
    for handle, expected in (("agnes", 200), ("bede", 403), ("cuthbert", 403)):
        visitor = Visitor(college, handle)
        assert visitor.get(settings).status_code == expected, handle
        assert visitor.get(PROVIDERS).status_code == (200 if handle == "agnes" else 403)
    assert (
        Visitor(college, "cuthbert").get(f"/communication/courses/{number}/chat").status_code < 500
    )


def test_a_page_the_host_does_not_have_is_answered_by_the_host(college: Open) -> None:
    page = Visitor(college).get("/nowhere")
    assert page.status_code == 404
    assert page.text == "The college has no such page."
