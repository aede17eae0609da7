"""Buttons, tokens of forms, and JSON routes under whatever is sent to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.doors.nasty import (
    FORM,
    PARTS,
    bounded,
    encoded,
    multipart,
    post,
    raw,
    texts,
    values,
)
from tests.unit.doors.table import GETS, POSTS, TABLE, Row
from tests.unit.doors.test_csrf import NEVER, rows
from tests.unit.doors.world import ROLES, Dump, World, lasting

pytestmark = pytest.mark.local_server

MEGABYTE = 1_000_000
BUTTONS = tuple(row for row in POSTS if row.typed is None)
JSON = tuple(row for row in GETS if row.rule.startswith("/api/"))
# What a button might read without anybody having meant it to.
NAMES = ("room", "person", "next", "confirmed", "provider", "version", "start", "found", "page")


def outcome(world: World, row: Row, fields: dict[str, Any]) -> tuple[int, list[str], Dump]:
    """The status of a press with ``fields`` sent along, what the trail says, what it left."""
    world.restore()
    token = {"csrf_token": world.sessions["admin"].token}
    response = post(world, row, encoded({**fields, **token}), FORM)
    dump = world.dump()
    left = lasting(dump)
    for consent in left["commweb_account_consent"]:
        del consent["agreed_at"]
    return response.status_code, [row["action"] for row in dump["commweb_event"]], left


@rows(BUTTONS)
@bounded
@given(extra=st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=4))
@example(extra=dict.fromkeys(NAMES, "1"))
def test_a_button_does_what_it_is_for_whatever_is_sent_along(
    furnished: World, row: Row, extra: dict[str, Any]
) -> None:
    world = furnished
    extra.pop("csrf_token", None)
    outcomes = []
    for fields in ({}, extra):
        outcomes.append(outcome(world, row, fields))
    assert outcomes[1] == outcomes[0]
    assert outcomes[1][0] == (403 if row.rule in NEVER else 303)


@rows(POSTS)
@bounded
@given(token=values)
def test_no_token_of_a_form_breaks_it_or_lets_anything_through(
    furnished: World, row: Row, token: Any
) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    response = post(world, row, encoded({**row.fields(world), "csrf_token": token}), FORM)
    assert response.status_code == 400
    assert world.dump() == before


@rows(POSTS)
def test_a_megabyte_for_a_token_changes_nothing(world: World, row: Row) -> None:
    before = world.dump()
    fields = {**row.fields(world), "csrf_token": "a" * MEGABYTE}
    assert post(world, row, encoded(fields), FORM).status_code == 400
    parts = [(name, "", str(value)) for name, value in fields.items()]
    assert post(world, row, multipart(parts), PARTS).status_code in (400, 413)
    assert world.dump() == before


@rows(BUTTONS)
def test_a_button_does_what_it_is_for_with_a_megabyte_that_nobody_asked_for(
    world: World, row: Row
) -> None:
    assert outcome(world, row, {"unheard_of": "a" * MEGABYTE}) == outcome(world, row, {})


def addresses(world: World, row: Row, text: str) -> Iterator[str]:
    there = quote_from_bytes(raw(text), safe="")
    yield f"{row.address(world)}?shown={there}&{there}={there}"
    if "<course_id>" in row.rule and there:
        yield row.rule.replace("<course_id>", there)


def check_json(world: World, row: Row, text: str, role: str) -> None:
    """An answer of JSON, below 500."""
    for address in addresses(world, row, text):
        response = world.ask(role, "GET", address)
        assert response.status_code < 500
        kinds = ("application/json", "application/problem+json")
        if response.status_code != 404 and response.status_code < 300:
            assert response.mimetype in kinds
            json.loads(response.get_data())


@pytest.mark.parametrize("row", JSON, ids=[row.rule for row in JSON])
@bounded
@given(text=texts)
def test_the_json_service_answers_json_whatever_it_is_asked(
    furnished: World, row: Row, text: str
) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    for role in ROLES:
        check_json(world, row, text, role)
    assert world.dump() == before


@pytest.mark.parametrize("row", JSON, ids=[row.rule for row in JSON])
def test_the_json_service_bears_a_megabyte_in_an_address(world: World, row: Row) -> None:
    before = world.dump()
    for text in ("a" * MEGABYTE, "9" * MEGABYTE, "\u202e" * (MEGABYTE // 3)):
        for role in ("student", "admin"):
            check_json(world, row, text, role)
    assert world.dump() == before


@pytest.mark.parametrize("row", JSON, ids=[row.rule for row in JSON])
@bounded
@given(body=st.binary(max_size=200) | texts.map(raw), kind=st.sampled_from((FORM, PARTS, "json")))
def test_the_json_service_ignores_what_is_sent_with_a_question(
    furnished: World, row: Row, body: bytes, kind: str
) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    content_type = "application/json" if kind == "json" else kind
    plain = world.ask("admin", "GET", row.address(world))
    address = row.address(world)
    response = world.ask("admin", "GET", address, body, content_type=content_type)
    assert (response.status_code, response.get_json()) == (plain.status_code, plain.get_json())
    assert world.dump() == before


def test_every_post_is_a_form_or_a_button_here() -> None:
    assert set(BUTTONS) < set(POSTS) < set(TABLE)
    assert len(BUTTONS) > 12
    assert len(JSON) == 3
