"""Every backend in its world: the simulated one in both kinds of rooms, and a real Synapse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.matrix.session import HomeserverSession
from tests.contract.worlds import SimulatedWorld, SynapseWorld, World
from tests.live.conftest import (  # noqa: F401  (fixtures)
    admin_password,
    homeserver,
    lift_limits,
    sign_in,
    synapse_python,
    unique,
)
from tests.stored_session import Stored


@pytest.fixture(params=["simulated", "simulated-older", "synapse"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param != "synapse":
        yield SimulatedWorld(older=request.param == "simulated-older")
        return
    yield from _synapse(request, tmp_path)


def _synapse(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    server: Any = request.getfixturevalue("homeserver")
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
