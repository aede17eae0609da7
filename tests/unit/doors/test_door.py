"""More that a server, or somebody on the way to it, may try at the one door of the package."""

from __future__ import annotations

import ast
import gc
import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import commweb
from commweb.errors import AddressRefused, Unreachable
from commweb.net import Door, NetworkPolicy
from tests.unit.test_net import (
    LOOPBACK,
    OK,
    Names,
    Server,
    answering,
)

pytestmark = pytest.mark.local_server

Serve = Callable[..., Server]
PACKAGE = Path(commweb.__file__).parent
DIALS = {
    "requests", "urllib3", "urllib.request", "http.client", "socket", "ftplib", "smtplib", "httpx",
    "aiohttp",
}  # fmt: skip


def test_a_pooled_connection_that_ended_without_a_word_is_checked_anew(
    serve: Serve,
) -> None:
    ended = threading.Event()

    def once(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(OK)
        connection.close()
        ended.set()

    server = serve(once)
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with Door(LOOPBACK, resolve=names) as door:
        door.send("GET", f"http://hs.example:{server.port}/")
        assert ended.wait(10)
        with pytest.raises((AddressRefused, Unreachable)):
            door.send("GET", f"http://hs.example:{server.port}/")
        with pytest.raises(AddressRefused):
            door.send("GET", f"http://hs.example:{server.port}/")
    assert server.connections == 1


def test_a_connection_is_kept_for_its_own_name_only(serve: Serve) -> None:
    server = serve()
    with Door(LOOPBACK, resolve=Names(["127.0.0.1"])) as door:
        for host in ("one.example", "two.example", "one.example"):
            door.send("GET", f"http://{host}:{server.port}/")
    assert server.connections == 2
    hosts = [head.split("Host: ")[1].split(":")[0] for head in server.requests]
    assert hosts == ["one.example", "two.example", "one.example"]


def dripping(start: bytes, drop: bytes, *, reads: bool = True) -> Callable[[Any, Server], None]:
    def handle(connection: Any, server: Server) -> None:
        if reads:
            server.read_request(connection)
        connection.sendall(start)
        while not server.closing.wait(0.02):
            connection.sendall(drop)

    return handle


def test_a_greeting_that_drips_does_not_stretch_the_deadline(serve: Serve) -> None:
    # The head of a TLS record that is 16 384 bytes long.
    server = serve(dripping(b"\x16\x03\x03\x40\x00", b"\x02", reads=False))
    door = Door(LOOPBACK, resolve=Names(["127.0.0.1"]))
    started = time.monotonic()
    with door, pytest.raises(Unreachable, match=r"within 0\.4 seconds"):
        door.send("GET", f"https://hs.example:{server.port}/", deadline_seconds=0.4)
    assert time.monotonic() - started < 2


def test_answers_that_only_promise_one_do_not_stretch_the_deadline(
    serve: Serve,
) -> None:
    server = serve(dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"))
    with Door(LOOPBACK) as door, pytest.raises(Unreachable, match=r"within 0\.4 seconds"):
        door.send("GET", server.url, deadline_seconds=0.4)


@pytest.mark.parametrize(
    "head",
    [
        b"X-A: b\r\n" * 1000,
        b"X-A: " + b"a" * 100_000 + b"\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 2, 3\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
    ids=["many", "long", "negative", "two", "no chunk"],
)
def test_a_head_that_makes_no_sense_ends_in_a_sentence_or_in_an_answer(
    serve: Serve,
    head: bytes,
) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n{}"))
    with Door(LOOPBACK) as door, suppress(Unreachable):
        reply = door.send("GET", server.url, deadline_seconds=5)
        assert len(reply.body) <= 4


@pytest.mark.parametrize("length", [b"2, 3", b"two", b"-1"])
def test_a_connection_with_a_head_that_makes_no_sense_is_closed_at_once(
    serve: Serve,
    length: bytes,
) -> None:
    ended = threading.Event()

    def handle(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) == b"":
            ended.set()

    server = serve(handle)
    gc.disable()  # it would close them sooner or later
    try:
        with Door(LOOPBACK) as door, suppress(Unreachable):
            door.send("GET", server.url, deadline_seconds=5)
        assert ended.wait(5)
    finally:
        gc.enable()


def test_a_small_reply_does_not_become_a_large_one(serve: Serve) -> None:
    bomb = gzip.compress(b"\0" * 60_000_000)
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    server = serve(answering(b"HTTP/1.1 200 OK\r\n" + head + bomb))
    with Door(LOOPBACK) as door:
        tracemalloc.start()
        try:
            reply = door.send("GET", server.url, max_bytes=1_000_000)
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert "Accept-Encoding: identity" in server.requests[0]
    assert reply.body == bomb
    assert most < 20_000_000


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificate_authorities_of_the_environment_are_not_trusted(
    tls: tuple[Server, list[str | None]],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    server, _asked = tls
    monkeypatch.setenv(name, str(certificate))
    door = Door(LOOPBACK, resolve=Names(["127.0.0.1"]))
    with door, pytest.raises(Unreachable, match="certificate"):
        door.send("GET", f"https://hs.example:{server.port}/", headers={"Authorization": "x"})
    assert server.requests == []


def test_a_bundle_that_is_not_there_lets_nothing_through(
    tls: tuple[Server, list[str | None]],
    tmp_path: Path,
) -> None:
    server, _asked = tls
    policy = NetworkPolicy(LOOPBACK.allowed_private_hosts, ca_bundle=str(tmp_path / "none.pem"))
    door = Door(policy, resolve=Names(["127.0.0.1"]))
    with door, pytest.raises(Unreachable):
        door.send("GET", f"https://hs.example:{server.port}/")
    assert server.connections == 0


def imported(path: Path) -> set[str]:
    """The modules a file imports, by their full names and by the first part of them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names | {name.partition(".")[0] for name in names}


def test_nothing_else_in_the_package_opens_a_connection() -> None:
    site = PACKAGE / "site"  # the course site's own: its Synapse and its port
    files = [path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(site)]
    dialling = {path.name for path in files if imported(path) & DIALS}
    assert dialling == {"net.py", "pinned.py"}
