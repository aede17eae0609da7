"""User names become user ids that every homeserver takes; keys become aliases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commweb.providers.matrix.identifiers import (
    is_on,
    localpart,
    room_alias,
    room_alias_name,
    server_name_of,
    user_id,
)

ALLOWED = set("abcdefghijklmnopqrstuvwxyz0123456789._=-/+")
KEY = "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("teacher1", "teacher1"),
        ("Anna.Schmidt", "anna.schmidt"),
        (" anna ", "anna"),
        ("José", "jose"),
        ("anna@example.org", "anna=40example.org"),
        ("a b", "a=20b"),
        ("a=b", "a=3db"),
        ("Ω", "=cf=89"),
        ("_bot", "=5fbot"),
        ("12345", "u12345"),
        ("", "u"),
    ],
)
def test_a_user_name_becomes_a_localpart(username: str, expected: str) -> None:
    assert localpart(username) == expected


@given(st.text(max_size=400))
def test_every_user_name_gives_an_id_a_homeserver_takes(username: str) -> None:
    made = user_id(username, "hs.example", frozenset())
    name, _colon, server = made[1:].partition(":")
    assert made.startswith("@")
    assert server == "hs.example"
    assert name
    assert set(name) <= ALLOWED
    assert not name.startswith("_")
    assert not name.isdigit()
    assert len(made.encode()) <= 255
    assert made == user_id(username, "hs.example", frozenset())


@given(st.text(max_size=300), st.integers(min_value=1, max_value=4))
def test_a_taken_id_is_avoided_in_a_stable_way(username: str, count: int) -> None:
    taken: set[str] = set()
    for _time in range(count):
        made = user_id(username, "hs.example", frozenset(taken))
        assert made not in taken
        assert made == user_id(username, "hs.example", frozenset(taken))
        assert len(made.encode()) <= 255
        taken.add(made)


def test_names_that_differ_only_in_case_get_different_suffixes() -> None:
    first = user_id("anna", "hs.example", frozenset())
    second = user_id("Anna", "hs.example", frozenset({first}))
    third = user_id("ANNA", "hs.example", frozenset({first}))
    assert len({first, second, third}) == 3


@given(st.text(max_size=300), st.text(max_size=40))
def test_every_slug_gives_an_alias_without_a_colon_or_a_space(slug: str, key: str) -> None:
    name = room_alias_name(slug, key)
    assert set(name) <= ALLOWED | {"_"}
    assert len(name) <= 80


def test_an_alias_is_the_slug_and_the_start_of_the_key() -> None:
    assert room_alias("algebra-1", KEY, "hs.example") == "#algebra-1-aaisem2e:hs.example"
    assert room_alias_name("", KEY) == "room-aaisem2e"
    assert room_alias_name("Größe & Maß", KEY) == "gr-e-ma-aaisem2e"


def test_the_server_is_read_from_a_user_id() -> None:
    assert server_name_of("@a:hs.example:8448") == "hs.example:8448"
    assert server_name_of("!room") == ""
    assert is_on("@a:hs.example", "hs.example")
    assert not is_on("@a:other.example", "hs.example")


def test_a_name_that_a_bridge_owns_in_every_form_gets_another_beginning() -> None:
    taken: frozenset[str] = frozenset()
    names = []
    for _time in range(4):
        names.append(user_id("irc_anna", "hs.test", taken))
        taken = taken | {names[-1]}
    assert [name.startswith("@irc_") for name in names] == [True, True, False, False]
    assert len(set(names)) == 4
