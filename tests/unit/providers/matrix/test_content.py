"""JSON from a homeserver holds anything, and does no harm."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from commweb.providers.matrix.content import WHOLE_BYTES, object_in

LARGEST = 2**53 - 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1", 1),
        ("-5", -5),
        ("9007199254740991", LARGEST),
        ("9007199254740992", LARGEST),
        ("1" + "0" * 400, LARGEST),
        ("-1" + "0" * 400, -LARGEST),
        ("1" + "0" * 6000, LARGEST),
        ("1.5", 1.5),
        ("1e400", float(LARGEST)),
        ("-1e400", -float(LARGEST)),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("true", True),
    ],
)
def test_a_number_is_kept_within_what_matrix_allows(written: str, read: Any) -> None:
    assert object_in(f'{{"a": {written}}}'.encode()) == {"a": read}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"{", b"\xff\xfe", b"[" * 100_000, b"<html>", b'{"a":}']
)
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert object_in(body) is None


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "m.room.member",
        "state_key": f"@o{number}:hs.example",
        "sender": f"@o{number}:hs.example",
        "content": {"membership": "leave", "displayname": "N" * 40},
        "event_id": "$" + "e" * 43,
        "unsigned": {"prev_content": {"membership": "join"}, "replaces_state": "$" + "e" * 43},
        "x": "y" * 300,
        **more,
    }


@pytest.fixture(scope="module")
def large() -> bytes:
    """More than 32 MiB of former members."""
    return json.dumps({"state": [event(number) for number in range(60_000)]}).encode()


def test_a_room_with_very_many_former_members_is_read_without_filling_the_memory(
    large: bytes,
) -> None:
    assert len(large) > 32 * 1024 * 1024
    tracemalloc.start()
    content = object_in(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert content is not None
    assert len(content["state"]) == 60_000
    assert content["state"][7]["content"]["membership"] == "leave"
    assert "x" not in content["state"][7]
    assert peak < 4 * len(large)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-2],
        lambda text: text[:-1],
        lambda text: text + "x",
        lambda text: text.replace('{"state": [', '{"state": [5, ', 1),
        lambda text: text.replace("}, {", "} {", 1),
    ],
)
def test_a_large_answer_that_is_not_whole_is_none_or_read_as_any_other(spoil: Any) -> None:
    text = json.dumps({"state": [event(number) for number in range(9_000)]})
    assert len(text) > WHOLE_BYTES
    content = object_in(spoil(text).encode())
    assert content is None or content == json.loads(spoil(text))


def test_a_large_answer_of_another_shape_is_read_as_any_other() -> None:
    content = {"chunk": ["x" * 100] * 50_000, "state": 1}
    assert object_in(json.dumps(content).encode()) == content
