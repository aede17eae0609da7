"""Addresses, queries and headers, whatever they hold: an answer below 500, and nothing changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.doors.nasty import bounded, encoded, raw, texts, values
from tests.unit.doors.table import GETS, TABLE, Row
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server


def rows(table: Sequence[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.name for row in table])


PLACES = tuple(row for row in TABLE if "<" in row.rule)


def places(world: World, row: Row, text: str) -> Iterator[str]:
    """The address with ``text`` in each of its places."""
    for place in re.findall(r"<[^<>]+>", row.rule):
        there = quote_from_bytes(raw(text), safe="") or "%20"
        address = row.rule.replace(place, there)
        yield re.sub(r"<(?:[^:<>]+:)?(\w+)>", lambda m: str(world.ids.get(m[1], 1)), address)


@rows(PLACES)
@bounded
@given(text=texts)
def test_no_id_in_an_address_breaks_a_page(furnished: World, row: Row, text: str) -> None:
    world = furnished
    world.restore()
    for role in ("student", "admin"):
        before = world.dump()
        for address in places(world, row, text):
            fields = row.fields(world) if row.method == "POST" else None
            response = world.ask(role, row.method, address, fields)
            assert response.status_code < 500, address
            if response.status_code != 303:
                assert world.dump() == before


IDS = ("%00", "\x00", "\ud800", "-1", "0", "١٢٣", "9" * 400, "9" * 5000, "2147483648",
       "9223372036854775808", "../../etc/passwd", "1 OR 1=1", "{{7*7}}")  # fmt: skip


@rows(PLACES)
def test_no_impossible_id_breaks_a_page(world: World, row: Row) -> None:
    for text in IDS:
        for address in places(world, row, text):
            fields = row.fields(world) if row.method == "POST" else None
            assert world.ask("admin", row.method, address, fields).status_code < 500, address


QUERY = ("page", "q", "sort", "order", "room", "next", "found", "v", "nothing")


@rows(GETS)
@bounded
@given(query=st.dictionaries(st.sampled_from(QUERY), values, min_size=1, max_size=3))
def test_no_query_breaks_a_page_or_changes_anything(
    furnished: World, row: Row, query: dict[str, Any]
) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    sent = encoded(query).decode()
    for role in ("nobody", "admin"):
        response = world.ask(role, "GET", f"{row.address(world)}?{sent}")
        assert response.status_code < 500
        if response.status_code in (302, 303) and row.rule == "/login":
            assert re.match(r"/(?![/\\])", response.headers["Location"])
    assert world.dump() == before


HEADERS: tuple[dict[str, str], ...] = (
    {"Host": "evil.test"},
    {"Host": "evil.test:99999"},
    {"Host": "a b"},
    {"Host": "<script>"},
    {"Host": ""},
    {"Referer": "\udcff"},
    {"Accept": "*/*;q=nothing"},
    {"Accept-Language": "x" * 5000},
    {"Cookie": "session=" + "A" * 5000},
    {"Cookie": "session=.eJw=; session=; remember_token=1|x"},
    {"If-None-Match": "\xff"},
    {"If-Modified-Since": "never"},
    {"Range": "bytes=9-1,-"},
    {"X-Forwarded-For": "'; --", "X-Forwarded-Host": "evil.test", "X-Forwarded-Prefix": "//evil"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Content-Type": "\xff/\xff"},
    {"X-CSRFToken": "\xff"},
)


@pytest.mark.parametrize("headers", HEADERS, ids=[next(iter(h)) for h in HEADERS])
def test_no_header_breaks_a_page_or_changes_anything(world: World, headers: dict[str, str]) -> None:
    before = world.dump()
    latin = {name: raw(value).decode("latin-1") for name, value in headers.items()}
    for row in TABLE[::4]:
        for role in ("nobody", "admin"):
            # Without a token: with one, a POST would do what it is for.
            address = row.address(world)
            response = world.ask(role, row.method, address, token=False, headers=latin)
            assert response.status_code < 500, row.name
            assert "evil" not in response.headers.get("Location", "")
            assert "evil.test" not in response.text
    assert world.dump() == before
