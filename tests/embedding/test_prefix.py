"""Where our pages are: below any prefix or none, and below SCRIPT_NAME, with every link right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from commweb import CommWeb
from commweb.errors import MisuseError
from commweb.providers import Registry
from tests.embedding.college.host import College
from tests.embedding.college.models import db
from tests.embedding.visiting import Open, Visitor, links, open_college
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.unit.web.conftest import FakeProvider

PREFIXES = ["", "/lms/communication"]
GET = {"GET"}


@pytest.fixture(params=PREFIXES, ids=["empty", "deep"])
def placed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Open, str]]:
    """The college with a room and two providers, and where our pages are."""
    registry = Registry([SimulatedProvider(SimulatedServer()), FakeProvider()])
    config = {"COMMWEB_URL_PREFIX": request.param}
    with open_college(tmp_path / "college", registry=registry, **config) as college:
        college.write("Astronomy", "cuthbert")
        college.run("commweb", "sync")
        yield college, request.param


def walk(visitor: Visitor, start: str) -> dict[str, int]:
    """Every address of the site that can be reached by links from ``start``, and its answer."""
    answers: dict[str, int] = {}
    waiting = [start]
    while waiting:
        url = waiting.pop()
        if url in answers:
            continue
        page = visitor.get(url)
        answers[url] = page.status_code
        if page.content_type.startswith("text/html") and page.status_code == 200:
            found = (urlsplit(link) for link in links(page))
            waiting += [link.path for link in found if not link.netloc and link.path]
        page.close()
    return answers


@pytest.mark.parametrize("root", ["", "/school"], ids=["", "SCRIPT_NAME"])
def test_every_link_leads_to_a_page_below_the_prefix(placed: tuple[Open, str], root: str) -> None:
    college, prefix = placed
    answers = walk(Visitor(college, "agnes", root=root), f"{root}/papers/")
    ours = [url for url in answers if "/communication/" in url or "_commweb" in url]
    expected = [
        f"{prefix}/_commweb/static/commweb.css",
        f"{prefix}/admin/",
        f"{prefix}/admin/experimental",
        f"{prefix}/admin/communication/providers/fake/sign-in",
        f"{prefix}/courses/1/communication",
        f"{prefix}/courses/1/chat",
    ]
    assert {root + url for url in expected} <= set(answers)
    for url in ours:
        assert url.startswith(f"{root}{prefix}/")
        if prefix:
            assert url.count(prefix) == 1
    posts_only = {url for url, status in answers.items() if status == 405}
    wrong = {url: status for url, status in answers.items() if status not in (200, 303, 405)}
    assert wrong == {}
    assert posts_only, "the targets of buttons were among the links"


def test_a_redirect_of_ours_stays_below_script_name(placed: tuple[Open, str]) -> None:
    college, prefix = placed
    agnes = Visitor(college, "agnes", root="/school")
    saved = agnes.send(f"/school{prefix}/admin/experimental")
    assert saved.headers["Location"] == f"/school{prefix}/admin/experimental"
    sent = Visitor(college, root="/school").get(f"/school{prefix}/admin/")
    assert sent.headers["Location"] == f"/school/door?back=/school{prefix}/admin/"


def test_our_files_never_hide_the_hosts(placed: tuple[Open, str]) -> None:
    college, prefix = placed
    visitor = Visitor(college)
    for url, expected in (
        ("/static/frame.css", 200),
        ("/static/commweb.css", 404),
        (f"{prefix}/_commweb/static/commweb.css", 200),
        (f"{prefix}/_commweb/static/frame.css", 404),
    ):
        with visitor.get(url) as file:
            assert file.status_code == expected, url


def test_no_path_is_there_twice(placed: tuple[Open, str]) -> None:
    college, prefix = placed
    methods: Counter[tuple[str, str]] = Counter()
    for rule in college.app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            methods[rule.rule, method] += 1
        ours = rule.endpoint.startswith("commweb.")
        assert ours == (rule.rule.startswith(f"{prefix}/") if prefix else ours)
        assert "//" not in rule.rule
    assert [twice for twice, count in methods.items() if count > 1] == []


@pytest.mark.parametrize("prefix", ["/lms/communication/", "/", None])
def test_a_slash_too_many_makes_no_difference(tmp_path: Path, prefix: str | None) -> None:
    with open_college(tmp_path / "college", COMMWEB_URL_PREFIX=prefix) as college:
        rules = {rule.rule for rule in college.app.url_map.iter_rules()}
    assert f"{(prefix or '').rstrip('/')}/admin/" in rules


def test_a_prefix_without_its_slash_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(MisuseError, match="must be empty or start with a slash"),
        open_college(tmp_path / "college", COMMWEB_URL_PREFIX="chat"),
    ):
        pass


def test_a_rule_the_host_registered_before_wins(tmp_path: Path) -> None:
    app = Flask("early", instance_path=str(tmp_path))
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI="sqlite://",
        COMMWEB_SECRET_KEYS="kP1mHkRzHq3mJmqJk8b6N1t1zYxw8Zt1vJm4w0aQz5E=",
        COMMWEB_URL_PREFIX="",
    )
    app.add_url_rule("/admin/", "own_admin", lambda: "the host's")
    CommWeb(app, db=SQLAlchemy(app), host=College())
    assert app.test_client().get("/admin/").text == "the host's"


def test_the_hosts_blueprints_with_our_names_stay_where_they_were(
    placed: tuple[Open, str],
) -> None:
    college, _prefix = placed
    app: Flask = college.app
    assert {"admin", "api", "commweb.admin", "commweb.api"} <= set(app.blueprints)
    assert Visitor(college).get("/wardens/").text == "The wardens' page."
    with app.test_request_context("/"):
        assert app.url_for("admin.index") == "/wardens/"
        assert app.url_for("commweb.admin.index").endswith("/admin/")
    assert db.metadata.tables.keys().isdisjoint({"commweb_room"})
