"""The security page names tests that are there, for each of its promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROMISING = (
    "Who may do what",
    "Rooms",
    "Tokens and passwords",
    "Logging in to the course site",
    "Whose account is whose",
    "Addresses",
    "Pages",
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def promises(section: str) -> list[str]:
    """The items of the section's list."""
    found = re.search(rf"^## {section}\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert found, section
    items = re.split(r"^- ", found[1], flags=re.MULTILINE)[1:]
    return [" ".join(item.split()) for item in items]


@pytest.mark.parametrize("section", PROMISING)
def test_every_promise_names_a_test(section: str) -> None:
    items = promises(section)
    assert items
    assert [item for item in items if not NAMED.search(item)] == []


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 40
    missing = [
        (path, name)
        for path, name in named
        if not (ROOT / path).is_file()
        or f"def {name or 'test_'}" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []
