"""The college, open for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedding.visiting import Open, Visitor, open_college


@pytest.fixture
def college(tmp_path: Path) -> Iterator[Open]:
    with open_college(tmp_path / "college") as made:
        yield made


@pytest.fixture
def agnes(college: Open) -> Visitor:
    """The warden, logged in through the college's own door."""
    return Visitor(college, "agnes")
