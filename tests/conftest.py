"""No test reaches beyond this machine, and unit tests open no connection at all.

A unit test that starts a server of its own on loopback says so with ``@pytest.mark.local_server``.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import database_url, postgres, postgres_url

__all__ = ["database_url", "postgres", "postgres_url"]

_UNIT = Path(__file__).parent / "unit"


def pytest_configure(config: pytest.Config) -> None:
    # A slow machine is no fault of the code that is tried.
    slow = [HealthCheck.too_slow]
    settings.register_profile("untimed", deadline=None, suppress_health_check=slow)
    settings.load_profile("untimed")
    config.addinivalue_line(
        "markers", "local_server: this unit test talks to a server it starts on loopback"
    )


def _is_loopback(address: Any) -> bool:
    try:
        return ipaddress.ip_address(str(address).partition("%")[0]).is_loopback
    except ValueError:
        return address == "localhost"


def _is_literal(host: Any) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def _closed_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = request.path.is_relative_to(_UNIT)
    loopback_allowed = not unit or request.node.get_closest_marker("local_server") is not None
    connect, connect_ex, lookup = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def refuse(host: Any) -> None:
        pytest.fail(f"The test tried to reach {host}; tests stay on this machine.")

    def check(sock: socket.socket, address: Any) -> None:
        inet = sock.family in {socket.AF_INET, socket.AF_INET6}
        if inet and not (loopback_allowed and _is_loopback(address[0])):
            sock.close()  # its owner does not expect what is raised now
            refuse(address[0])

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host and host != "localhost" and not _is_literal(host):
            refuse(host)
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
