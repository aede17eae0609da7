"""Every change of ours on a foreign site, with its protection against forged requests and without:
a POST with a token of its own, or nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commweb.providers import Registry
from tests.embedding.visiting import Open, Visitor, open_college
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.unit.web.conftest import FakeProvider

IDS = {"course_id": "1", "room_id": "1", "provider_id": "simulated"}
FILLED_IN = {"provider": "simulated", "room": "1", "person": "cuthbert", "version": "1"}


@pytest.fixture(params=[True, False], ids=["protected", "unprotected"])
def furnished(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """The college with a room, and a provider with settings."""
    registry = Registry([SimulatedProvider(SimulatedServer()), FakeProvider()])
    with open_college(tmp_path / "college", registry=registry, PROTECTED=request.param) as college:
        college.write("Astronomy", "cuthbert")
        college.run("commweb", "sync")
        yield college


def dump(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    with closing(sqlite3.connect(folder / "college" / "college.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
            for (name,) in names.fetchall()
        }


def posts(college: Open) -> list[str]:
    """The addresses of ours that take a POST."""
    return [
        re.sub(r"<(?:[^<>:]+:)?(\w+)>", lambda found: IDS[found[1]], rule.rule)
        for rule in college.app.url_map.iter_rules()
        if rule.endpoint.startswith("commweb.") and "POST" in (rule.methods or ())
    ]


def test_no_post_of_ours_does_anything_without_a_token(furnished: Open, tmp_path: Path) -> None:
    agnes = Visitor(furnished, "agnes")
    before = dump(tmp_path)
    told: dict[str, int] = {}
    for url in posts(furnished):
        for fields in ({}, {"csrf_token": "made-up"}, FILLED_IN):
            told[url] = agnes.post(url, **fields).status_code
            assert told[url] in (400, 403, 404, 422), url
    assert dump(tmp_path) == before
    # A closed door that nobody knocked at would prove nothing.
    assert sum(status in (400, 422) for status in told.values()) >= 12


def test_a_change_of_ours_is_a_post_and_nothing_else(furnished: Open) -> None:
    for rule in furnished.app.url_map.iter_rules():
        if rule.endpoint.startswith("commweb."):
            assert set(rule.methods or ()) <= {"GET", "HEAD", "OPTIONS", "POST"}
            assert not {"GET", "POST"} <= set(rule.methods or ()), "one method, one view"
