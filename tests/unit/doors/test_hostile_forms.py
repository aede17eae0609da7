"""Whatever is sent to a form: an answer below 500, and everything saved or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.unit.doors.nasty import (
    FORM,
    PARTS,
    bounded,
    encoded,
    multipart,
    post,
    raw,
    role_for,
    texts,
    values,
)
from tests.unit.doors.table import POSTS, Row
from tests.unit.doors.world import Dump, World, lasting

pytestmark = pytest.mark.local_server

MEGABYTE = 1_000_000
FORMS = tuple(row for row in POSTS if row.typed is not None)
WITH_PARTS = tuple(row for row in FORMS if row.rule.endswith(("/edit", "/matrix", "/sign-in")))
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def rows(table: Sequence[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.rule for row in table])


def judged(world: World, row: Row, before: Dump, response: TestResponse) -> None:
    """Below 500; and unless it succeeded, nothing is saved. What is saved can be shown."""
    assert response.status_code < 500, response.text
    if response.status_code != 303:
        assert world.dump() == before
        return
    stored = [v for table in world.dump().values() for line in table for v in line.values()]
    for value in stored:
        assert not isinstance(value, str) or not re.search("[\x00\ud800-\udfff]", value)
    if row.rule not in ("/logout", "/login", "/language"):
        page = world.ask("admin", "GET", response.headers["Location"])
        assert page.status_code in (200, 302, 303, 404)


@rows(FORMS)
@bounded
@given(data=st.data())
def test_no_form_breaks_or_saves_half(furnished: World, row: Row, data: st.DataObject) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    good = dict(row.fields(world))
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(good)), values, min_size=1))
    extra = data.draw(st.dictionaries(texts, texts, max_size=2))
    token = {"csrf_token": world.sessions[role_for(row)].token}
    body = encoded({**good, **changed, **extra, **token})
    judged(world, row, before, post(world, row, body, FORM))


@rows(FORMS)
@bounded
@given(body=jsons)
def test_no_json_is_taken_for_a_form(furnished: World, row: Row, body: Any) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    if isinstance(body, dict):
        body = {**row.fields(world), **body}
    token = {"X-CSRFToken": world.sessions[role_for(row)].token}
    response = post(world, row, json.dumps(body).encode(), "application/json", **token)
    assert response.status_code == 400
    assert world.dump() == before


# A body that is cut leaves the parser's temporary files to the garbage collector.
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@rows(WITH_PARTS)
@bounded
@given(parts=st.lists(st.tuples(texts, texts, texts), max_size=4), cut=st.integers(0, 60))
def test_no_parts_break_a_form(
    furnished: World, row: Row, parts: list[tuple[str, str, str]], cut: int
) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    good = {**row.fields(world), "csrf_token": world.sessions["admin"].token}
    sent = [(name, "", str(value)) for name, value in good.items()]
    sent += [("image", filename, content) for _name, filename, content in parts]
    body = multipart([*sent, *parts])
    judged(world, row, before, post(world, row, body[: len(body) - cut], PARTS))


STRANGE: dict[str, tuple[bytes, str]] = {
    "a list in a list in a list": (b"[" * 100_000, "application/json"),
    "a number without an end": (b'{"full_name": ' + b"9" * 10_000 + b"}", "application/json"),
    "two thousand fields": (b"&".join(b"a=b" for _ in range(2000)), FORM),
    "two thousand parts": (multipart([("a", "", "b")] * 2000), PARTS),
    "parts without an edge": (b"--edge", "multipart/form-data"),
    "no text in any encoding": (bytes(range(256)) * 10, FORM),
    "an unknown encoding": (b"full_name=%ff", f"{FORM}; charset=utf-7"),
    "unpaired halves": (b"full_name=" + raw("\ud800"), FORM),
    "xml": (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "text/xml"),
    "seven megabytes": (b"full_name=" + b"a" * 7 * MEGABYTE, FORM),
}


@pytest.mark.parametrize("name", STRANGE)
def test_no_body_is_too_strange(world: World, name: str) -> None:
    body, kind = STRANGE[name]
    for row in FORMS:
        world.restore()
        before = lasting(world.dump())
        token = {"X-CSRFToken": world.sessions[role_for(row)].token}
        for headers in ({}, token):
            response = post(world, row, body, kind, **headers)
            # A form whose every field may be missing is one with its boxes unchecked.
            assert response.status_code in (303, 400, 403, 404, 413, 422), row.name
            if response.status_code != 303:
                assert lasting(world.dump()) == before, row.name
                continue
            assert b"=" in body, row.name
            before = lasting(world.dump())


@rows(FORMS)
def test_a_field_of_a_megabyte_is_refused(world: World, row: Row) -> None:
    before = world.dump()
    good = {**row.fields(world), "csrf_token": world.sessions[role_for(row)].token}
    huge = "a" * MEGABYTE
    for name, value in good.items():
        # Whatever is sent for a box, it is checked; a long way back is not taken.
        if value != "y" and name != "next":
            response = post(world, row, encoded({**good, name: huge}), FORM)
            assert response.status_code in (400, 403, 404, 413, 422), name
    parts = [(name, "", str(value)) for name, value in {**good, "unheard_of": huge}.items()]
    assert post(world, row, multipart(parts), PARTS).status_code == 413
    assert world.dump() == before
