"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from tests.simulated import SimulatedServer


@pytest.fixture
def server() -> SimulatedServer:
    return SimulatedServer()
