"""How long a room rests, whatever a server asks for."""

from __future__ import annotations

import pytest

from commweb.errors import RateLimited
from commweb.sync.patience import rest_after


@pytest.mark.parametrize(("asked", "rests"), [(0.0, 5.0), (0.001, 0.5), (0.5, 0.5), (4.6, 4.6)])
def test_a_room_rests_as_long_as_the_server_asks_and_never_no_time_at_all(
    asked: float, rests: float
) -> None:
    error = RateLimited("Wait.", retry_after_seconds=asked)
    assert rest_after(error, 0, line_down=False).seconds == rests
