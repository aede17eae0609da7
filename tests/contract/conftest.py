"""Every backend in its world: the simulated one in both kinds of rooms, and a real Synapse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.matrix.session import HomeserverSession
from commweb.site.homeserver import Homeserver
from tests.contract.worlds import SimulatedWorld, SynapseWorld, World
from tests.live.conftest import (  # noqa: F401  (fixtures)
    ADMIN,
    CHEAP_PASSWORDS,
    MANY_LOGINS,
    admin_password,
    homeserver,
    lift_limits,
    sign_in,
    synapse_python,
    unique,
)
from tests.stored_session import Stored


@pytest.fixture(scope="session")
def older_homeserver(
    synapse_python: Path,  # noqa: F811  (a fixture)
    admin_password: str,  # noqa: F811  (a fixture)
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Homeserver]:
    """A second Synapse for the whole test process, which makes rooms of version 10."""
    config = {**MANY_LOGINS, **CHEAP_PASSWORDS, "default_room_version": "10"}
    server = Homeserver(tmp_path_factory.mktemp("older"), synapse_python, config=config)
    with server:
        server.register_admin(ADMIN, admin_password)
        yield server


@pytest.fixture(params=["simulated", "simulated-older", "synapse", "synapse-older"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    kind, _, older = request.param.partition("-")
    if kind == "simulated":
        yield SimulatedWorld(older=bool(older))
        return
    yield from _synapse(request, tmp_path, "older_homeserver" if older else "homeserver")


def _synapse(request: pytest.FixtureRequest, folder: Path, fixture: str) -> Iterator[World]:
    server: Any = request.getfixturevalue(fixture)
    mine = request.getfixturevalue("sign_in")(server)
    request.getfixturevalue("lift_limits")(server)
    stored = Stored.open(folder / "site.db")
    stored.save(mine.access_token, mine.refresh_token, base_url=mine.base_url)
    context = stored.context(mine.base_url)
    session = HomeserverSession.open(context)
    backend = MatrixProvider().backend(context)
    made = SynapseWorld(server, session, backend, request.getfixturevalue("unique"))
    yield made
    made.close()
    stored.close()
