"""Whatever is sent: an answer below 500, and everything saved or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.unit.doors.table import GETS, POSTS, TABLE, Row
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server

MEGABYTE = 1_000_000
FORM = "application/x-www-form-urlencoded"
NASTY = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "a\udfff\ud800b",
    "\u202egnp.exe\u2066\u200f",
    "\ufeff\u2028\u2029\x85",
    "a\r\nSet-Cookie: x=y",
    '"><script>alert(1)</script>',
    "'; DROP TABLE person; --",
    "1 OR 1=1",
    "%' ESCAPE '!' --",
    "{{7*7}}{% raw %}${7*7}<%= 7 %>",
    "%(name)s %s %n {0} {reason}",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "javascript:alert(1)",
    "http://[::1",
    "http://\u202ex.test\uff0fy",
    "https://x.test:99999/",
    "null",
    "[]",
    "{}",
    "-1",
    "0",
    "١٢٣",
    "1e309",
    "9" * 400,
    "9" * 5000,
    "0x7fffffff",
    "2147483648",
    "9223372036854775808",
    "NaN",
    "true",
    "2030-13-45",
    "0000-00-00",
    "99999-01-01",
    "\U0001f600" * 255,
    "a" * 256,
    "e\u0301" * 200,
)
texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=40)
values = texts | st.tuples(texts, texts).map(list) | st.none()
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
bounded = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FORMS = tuple(row for row in POSTS if row.typed is not None)


def rows(table: Sequence[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.name for row in table])


def role_for(row: Row) -> str:
    """Who gets farthest."""
    return "nobody" if row.rule == "/login" else "admin"


def encoded(fields: Mapping[str, Any]) -> bytes:
    """A form as bytes, also where the text is none: unpaired halves, repeated names."""
    pairs = []
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            pairs.append("=".join(quote_from_bytes(raw(part)) for part in (name, str(each))))
    return "&".join(pairs).encode()


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def post(world: World, row: Row, body: bytes, kind: str, **headers: str) -> TestResponse:
    """Send ``body`` as it is."""
    session = world.sessions[role_for(row)]
    client = world.app.test_client(use_cookies=False)
    sent = {"Cookie": session.cookie, **headers}
    with client.post(row.address(world), data=body, content_type=kind, headers=sent) as response:
        response.get_data()
        return response


def judged(world: World, row: Row, before: object, response: TestResponse) -> None:
    """Below 500; and unless it succeeded, nothing is saved. What is saved can be shown."""
    assert response.status_code < 500, response.text
    if response.status_code != 303:
        assert world.dump() == before
        return
    stored = [v for table in world.dump().values() for line in table for v in line.values()]
    for value in stored:
        assert not isinstance(value, str) or not re.search("[\x00\ud800-\udfff]", value)
    if row.rule not in ("/logout", "/login"):
        page = world.ask("admin", "GET", response.headers["Location"])
        assert page.status_code in (200, 303, 404)


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
    fields = {k: v for k, v in {**good, **changed, **extra}.items() if v is not None}
    fields["csrf_token"] = world.sessions[role_for(row)].token
    judged(world, row, before, post(world, row, encoded(fields), FORM))


@rows(POSTS)
@bounded
@given(body=jsons)
def test_no_json_breaks_a_form(furnished: World, row: Row, body: Any) -> None:
    world = furnished
    world.restore()
    before = world.dump()
    if isinstance(body, dict):
        body = {**row.fields(world), **body}
    token = world.sessions[role_for(row)].token
    text = json.dumps(body).encode()
    judged(world, row, before, post(world, row, text, "application/json", **{"X-CSRFToken": token}))


def multipart(fields: Sequence[tuple[str, str, str]]) -> bytes:
    """Parts of name, file name and content, in the order given."""
    lines = []
    for name, filename, content in fields:
        about = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        lines += ["--edge", f"Content-Disposition: {about}", "", content]
    return raw("\r\n".join([*lines, "--edge--", ""]))


@rows(tuple(row for row in FORMS if "edit" in row.rule or "matrix" in row.rule))
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
    kind = "multipart/form-data; boundary=edge"
    judged(world, row, before, post(world, row, body[: len(body) - cut], kind))


HUGE: dict[str, tuple[bytes, str]] = {
    "a list in a list in a list": (b"[" * 100_000, "application/json"),
    "a number without an end": (b'{"full_name": ' + b"9" * 10_000 + b"}", "application/json"),
    "two thousand fields": (b"&".join(b"a=b" for _ in range(2000)), FORM),
    "two thousand parts": (
        multipart([("a", "", "b")] * 2000), "multipart/form-data; boundary=edge"
    ),
    "parts without an edge": (b"--edge", "multipart/form-data"),
    "no text in any encoding": (bytes(range(256)) * 10, FORM),
    "an unknown encoding": (b"full_name=%ff", f"{FORM}; charset=utf-7"),
    "xml": (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "text/xml"),
    "seven megabytes": (b"full_name=" + b"a" * 7 * MEGABYTE, FORM),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_no_body_is_too_strange(world: World, name: str) -> None:
    body, kind = HUGE[name]
    for row in POSTS:
        before = world.dump()
        token = {"X-CSRFToken": world.sessions[role_for(row)].token}
        for headers in ({}, token) if row.typed else ({},):
            response = post(world, row, body, kind, **headers)
            assert response.status_code in (400, 403, 404, 413, 422), row.name
        assert world.dump() == before, row.name


@rows(FORMS)
def test_a_field_of_a_megabyte_is_refused(world: World, row: Row) -> None:
    before = world.dump()
    good = {**row.fields(world), "csrf_token": world.sessions[role_for(row)].token}
    for name in [*row.fields(world), "unheard_of", "csrf_token"]:
        for huge in ("a" * MEGABYTE, "\x00" * MEGABYTE, "\U0001f600" * (MEGABYTE // 4)):
            for body, kind in (
                (encoded({**good, name: huge}), FORM),
                (multipart([(k, "", str(v)) for k, v in {**good, name: huge}.items()]),
                 "multipart/form-data; boundary=edge"),
            ):  # fmt: skip
                response = post(world, row, body, kind)
                if name == "unheard_of" and response.status_code == 303:
                    world.restore()
                    before = world.dump()
                    continue
                assert response.status_code in (400, 413, 422), name
                assert world.dump() == before


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
    for role in ("nobody", "student", "admin"):
        before = world.dump()
        for address in places(world, row, text):
            fields = row.fields(world) if row.method == "POST" else None
            response = world.ask(role, row.method, address, fields)
            assert response.status_code < 500, address
            if response.status_code != 303:
                assert world.dump() == before


@rows(PLACES)
def test_every_nasty_id_is_tried(world: World, row: Row) -> None:
    for text in NASTY:
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
    sent = encoded({k: v for k, v in query.items() if v is not None}).decode()
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
    for row in TABLE:
        for role in ("nobody", "admin"):
            fields = {"nothing": "x"} if row.method == "POST" else None
            if fields and row.typed is None:
                continue  # would do what it is for
            response = world.ask(role, row.method, row.address(world), fields, headers=latin)
            assert response.status_code < 500, row.name
            assert "evil" not in response.headers.get("Location", "")
            assert "evil.test" not in response.text
    assert world.dump() == before
