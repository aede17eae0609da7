"""Power levels are read whatever they hold, changed where asked, and kept small enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commweb.providers.matrix.levels import Levels, changed_levels, fitting_levels, smaller_levels
from commweb.providers.rooms import SetLevels

BOT = "@bot:hs"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (50, 50),
        (-1, -1),
        ("50", 50),
        (" +50 ", 50),
        (50.0, 50),
        (True, 7),
        (None, 7),
        ("", 7),
        ("5_0", 7),
        ("\u0665", 7),
        ("9" * 5000, 7),
        (float("inf"), 7),
        (float("nan"), 7),
        ([50], 7),
        ({}, 7),
        (10**300, 2**31 - 1),
        (-(10**300), -(2**31) + 1),
        (1e300, 2**31 - 1),
    ],
)
def test_a_level_is_a_number_in_bounds_or_says_nothing(value: Any, expected: int) -> None:
    levels = Levels({"users": {"@a:hs": value}, "events_default": value, "users_default": 7})
    assert levels.users.get("@a:hs", levels.default) == expected
    assert Levels({"invite": value}).invite == (0 if expected == 7 else expected)


@pytest.mark.parametrize("odd", [5, True, None, [], "users"])
def test_a_list_that_is_none_lists_nobody(odd: Any) -> None:
    levels = Levels({"users": odd, "events": odd})
    assert (levels.users, levels.to_manage) == ({}, 50)


def test_only_the_users_of_the_power_levels_change() -> None:
    before = {"users": {BOT: 100, "@a:hs": 50, "@hand:hs": 75}, "events": {"m.x": 100}, "ban": 50}
    after = changed_levels(before, SetLevels({"@a:hs": None, "@b:hs": 50}))
    assert after == {**before, "users": {BOT: 100, "@hand:hs": 75, "@b:hs": 50}}
    assert before["users"] == {BOT: 100, "@a:hs": 50, "@hand:hs": 75}


@pytest.mark.parametrize(
    ("read_only", "default", "was", "expected"),
    [(True, 0, 0, 50), (True, 50, 0, 51), (False, 0, 0, 0), (False, 0, 30, 30), (None, 0, 30, 7)],
)
def test_read_only_changes_the_level_for_messages_and_back_to_what_it_was(
    read_only: bool | None, default: int, was: int, expected: int
) -> None:
    before = {"users_default": default, "events_default": 7}
    after = changed_levels(before, SetLevels({}, read_only=read_only, open_level=was))
    assert after["events_default"] == expected


def test_everybodys_level_and_the_one_for_invitations_change_when_asked() -> None:
    before = {"users_default": 0, "invite": 0, "events": {"m.x": 100}}
    assert changed_levels(before, SetLevels({})) == {**before, "users": {}}
    after = changed_levels(before, SetLevels({}, default_level=10, invite_level=50))
    assert after == {"users": {}, "users_default": 10, "invite": 50, "events": {"m.x": 100}}


def test_a_room_closed_and_given_another_default_at_once_is_closed_for_that_one() -> None:
    after = changed_levels({}, SetLevels({}, read_only=True, default_level=60))
    assert (after["users_default"], after["events_default"]) == (60, 61)


MANY = {f"@student-{number:05}:school.example": 10 for number in range(3000)}


def test_the_most_frequent_level_becomes_everybodys() -> None:
    content = {"users": {**MANY, BOT: 100, "@mute:hs": -1, "@odd:hs": True}, "ban": 50}
    assert smaller_levels(content) == {
        "users": {BOT: 100, "@mute:hs": -1, "@odd:hs": True},
        "ban": 50,
        "users_default": 10,
    }


@pytest.mark.parametrize(
    "content",
    [
        {"users": dict.fromkeys(MANY, 50)},
        {"users": MANY, "kick": 10},
        {"users": MANY, "state_default": 5},
        {"users": MANY, "users_default": 20},
        {"users": {}},
        {},
    ],
    ids=["moderators", "kick", "state", "above", "nobody", "nothing"],
)
def test_nobody_gets_power_or_loses_a_level_to_save_room(content: dict[str, Any]) -> None:
    assert smaller_levels(content) is None


def test_levels_that_fit_are_left_as_they_are() -> None:
    content = {"users": {BOT: 100, "@a:hs": 10}, "invite": 50}
    assert fitting_levels(content) is content


def test_of_levels_that_never_fit_the_highest_are_kept() -> None:
    people = {f"@person-{number:05}:school.example": number % 100 + 50 for number in range(4000)}
    fitting = fitting_levels({"users": {**people, BOT: 1000}, "invite": 50})
    kept = fitting["users"]
    assert 55_000 < len(json.dumps(fitting, separators=(",", ":"))) <= 60_000
    assert kept[BOT] == 1000
    assert min(kept.values()) >= max(people[name] for name in people if name not in kept)
    assert "users_default" not in fitting
