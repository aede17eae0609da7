"""An idle session is refreshed although no room is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from commweb.errors import Unreachable
from commweb.models import Connection, now
from commweb.providers.base import ProviderContext
from commweb.sync.upkeep import Upkeep
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on


class Kept(SimulatedProvider):
    """Writes down when it is asked to keep its session alive."""

    has_session = True

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server)
        self.asked = 0
        self.fault: Exception | None = None

    def keep_alive(self, context: ProviderContext, deadline_seconds: float) -> None:
        self.asked += 1
        if self.fault:
            raise self.fault


@pytest.fixture
def provider(server: SimulatedServer) -> Kept:
    return Kept(server)


@pytest.fixture
def school(tmp_path: Path, provider: Kept) -> Iterator[Site]:
    with switched_on(tmp_path, provider) as made:
        with made.app.app_context():
            made.comm.configure(
                provider.id, {}, access_token="an access token", refresh_token="a refresh token"
            )
        yield made


def test_a_session_is_looked_after_whether_or_not_rooms_are_worked_on(
    school: Site, provider: Kept
) -> None:
    with school.app.app_context():
        school.comm.set_enabled(False)
    Upkeep(school.state).once()
    assert provider.asked == 1


def test_a_dead_session_is_left_alone(school: Site, provider: Kept) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(Connection).values(state="sign_in_needed"))
    Upkeep(school.state).once()
    assert provider.asked == 0


@pytest.mark.parametrize("fault", [Unreachable("Nothing answers."), RuntimeError("odd")])
def test_a_fault_is_for_the_next_time(school: Site, provider: Kept, fault: Exception) -> None:
    provider.fault = fault
    times = []

    def wait(seconds: float) -> bool:
        times.append(seconds)
        return len(times) == 2

    with school.state.database.write() as connection:
        connection.execute(update(Connection).values(expires_at=now() + timedelta(seconds=60)))
    Upkeep(school.state).run(wait)
    assert provider.asked == 2


def test_a_token_of_unknown_life_is_tried_now_and_then(school: Site, provider: Kept) -> None:
    upkeep = Upkeep(school.state)
    for _again in range(5):
        upkeep.once()
    assert provider.asked == 1
