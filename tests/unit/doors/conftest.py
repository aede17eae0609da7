"""One furnished course site for all tests of a module; each finds it as it was furnished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.doors.homeserver import Homeserver, homeserver
from tests.unit.doors.planted import ACCESS, REFRESH
from tests.unit.doors.world import World, furnish, running
from tests.unit.test_net import certificate, serve, tls

__all__ = ["certificate", "serve", "tls"]  # fixtures that are servers of their own

MakeWorld = Callable[..., AbstractContextManager[World]]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Homeserver]:
    """The homeserver the site is connected with."""
    with homeserver(ACCESS, REFRESH) as server:
        yield server


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, matrix: Homeserver) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("doors") / "site", matrix) as world:
        furnish(world)
        yield world


@pytest.fixture
def world(furnished: World) -> World:
    furnished.restore()
    return furnished


@pytest.fixture
def make_world(tmp_path: Path, matrix: Homeserver) -> MakeWorld:
    """A site of the test's own, with another configuration. Not furnished yet."""

    def make(**config: Any) -> AbstractContextManager[World]:
        return running(tmp_path / "site", matrix, **config)

    matrix.forget()
    return make
