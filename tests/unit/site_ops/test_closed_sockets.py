"""The guard of the test suite itself: a unit test that opens a connection fails."""

from __future__ import annotations

import socket

import pytest


def test_a_unit_test_cannot_connect_even_to_loopback() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"127\.0\.0\.1"):
        socket.create_connection(("127.0.0.1", 9))


def test_a_unit_test_cannot_look_up_a_name() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"example\.org"):
        socket.create_connection(("example.org", 443))


@pytest.mark.local_server
def test_a_marked_unit_test_may_talk_to_its_own_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


@pytest.mark.local_server
def test_a_marked_unit_test_still_stays_on_this_machine() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 443))
