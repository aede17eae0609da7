"""The door under attack, against servers of the test's own on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.errors import AddressRefused, Unreachable
from commweb.net import Door, NetworkPolicy
from tests.certificates import self_signed

pytestmark = pytest.mark.local_server

LOOPBACK = NetworkPolicy(allowed_private_hosts=("127.0.0.0/8",))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Handler = Callable[[Any, "Server"], None]


class Server:
    """Accepts connections on loopback and gives each to ``handler`` in a thread."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self.closing = threading.Event()
        self._handler = handler
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            if self.closing.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Any) -> None:
        connection.settimeout(20)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._handler(connection, self)
        except OSError:
            pass
        finally:
            connection.close()

    def read_request(self, connection: Any) -> str:
        """The head of the next request; empty when the other side closed."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte:
                return ""
            head += byte
        self.requests.append(head.decode())
        return head.decode()

    def close(self) -> None:
        self.closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join(30)
        self._socket.close()


def answer_all(connection: Any, server: Server) -> None:
    while server.read_request(connection):
        connection.sendall(OK)


def answering(data: bytes) -> Handler:
    def handle(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(data)

    return handle


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(handler: Handler = answer_all, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(handler, context))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


class Names:
    """A name server that answers what it is told, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, type: int = 0) -> list[Any]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6, type, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, type, 6, "", (address, port))
            for address in found
        ]


def test_an_answer_comes_with_status_headers_and_body(serve: Callable[..., Server]) -> None:
    server = serve(answering(b"HTTP/1.1 404 No\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc"))
    with Door(LOOPBACK) as door:
        reply = door.send("GET", server.url + "/x")
    assert (reply.status, reply.headers["x-a"], reply.body) == (404, "b", b"abc")
    assert "abc" not in repr(reply)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_refused_unless_an_operator_allows_it(
    serve: Callable[..., Server], host: str
) -> None:
    server = serve()
    with Door(NetworkPolicy()) as door, pytest.raises(AddressRefused, match="PRIVATE_HOSTS"):
        door.send("GET", f"http://{host}:{server.port}/")
    assert server.connections == 0


@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "metadata.google.internal"])
def test_metadata_is_refused_although_everything_is_allowed(host: str) -> None:
    policy = NetworkPolicy(allowed_private_hosts=("0.0.0.0/0", "::/0", host))
    with Door(policy) as door, pytest.raises(AddressRefused, match="metadata"):
        door.send("GET", f"http://{host}/")


def test_a_name_that_leads_to_metadata_is_refused() -> None:
    policy = NetworkPolicy(allowed_private_hosts=("0.0.0.0/0", "hs.example"))
    names = Names(["169.254.169.254"])
    with Door(policy, resolve=names) as door, pytest.raises(AddressRefused, match="metadata"):
        door.send("GET", "http://hs.example/")


def test_one_bad_address_among_good_ones_is_enough_to_refuse(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    names = Names(["127.0.0.1", "10.0.0.1"])
    with Door(LOOPBACK, resolve=names) as door, pytest.raises(AddressRefused):
        door.send("GET", f"http://hs.example:{server.port}/")
    assert server.connections == 0


def test_a_name_is_looked_up_once_and_the_checked_address_is_dialled(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with Door(LOOPBACK, resolve=names) as door:
        for _time in range(3):
            assert door.send("GET", f"http://hs.example:{server.port}/").status == 200
    assert names.asked == ["hs.example"]
    assert server.connections == 1
    assert f"Host: hs.example:{server.port}" in server.requests[0]


def test_a_name_that_moved_to_a_private_address_is_refused_at_the_next_connection(
    serve: Callable[..., Server],
) -> None:
    server = serve(answering(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")))
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with Door(LOOPBACK, resolve=names) as door:
        door.send("GET", f"http://hs.example:{server.port}/")
        with pytest.raises(AddressRefused):
            door.send("GET", f"http://hs.example:{server.port}/")


def test_the_next_address_is_tried_when_one_does_not_answer(serve: Callable[..., Server]) -> None:
    server = serve()
    names = Names(["127.0.0.2", "127.0.0.1"])
    with Door(LOOPBACK, resolve=names) as door:
        assert door.send("GET", f"http://hs.example:{server.port}/").status == 200


def test_a_redirect_is_an_answer_and_is_not_followed(serve: Callable[..., Server]) -> None:
    target = serve()
    head = f"HTTP/1.1 302 Found\r\nLocation: {target.url}/\r\nContent-Length: 0\r\n\r\n"
    server = serve(answering(head.encode()))
    with Door(LOOPBACK) as door:
        reply = door.send("GET", server.url, headers={"Authorization": "Bearer t"})
    assert (reply.status, reply.headers["Location"]) == (302, target.url + "/")
    assert target.connections == 0


def test_the_environment_is_not_read(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve(), serve()
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password leak\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    with Door(LOOPBACK) as door:
        door.send("GET", server.url + "/")
        door.send("GET", server.url + "/", headers={"Authorization": "Bearer ours"})
    assert "Authorization" not in server.requests[0]
    assert "Authorization: Bearer ours" in server.requests[1]
    assert proxy.connections == 0


def test_cookies_are_not_kept(serve: Callable[..., Server]) -> None:
    cookie = OK.replace(b"OK\r\n", b"OK\r\nSet-Cookie: a=b; Path=/\r\n")

    def handle(connection: Any, server: Server) -> None:
        while server.read_request(connection):
            connection.sendall(cookie)

    server = serve(handle)
    with Door(LOOPBACK) as door:
        door.send("GET", server.url + "/")
        door.send("GET", server.url + "/")
    assert "Cookie" not in server.requests[1]


def test_a_reply_has_a_largest_size(serve: Callable[..., Server]) -> None:
    def handle(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not server.closing.is_set():
            connection.sendall(b"x" * 65536)

    server = serve(handle)
    with Door(LOOPBACK) as door, pytest.raises(Unreachable, match="too large"):
        door.send("GET", server.url, max_bytes=1_000_000)


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["nothing", "headers", "body", "chunks"],
)
def test_a_dripping_reply_does_not_stretch_the_deadline(
    serve: Callable[..., Server], start: bytes
) -> None:
    drop = b"1\r\nx\r\n" if b"chunked" in start else b"x" if start else b""

    def handle(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(start)
        while not server.closing.wait(0.02):
            connection.sendall(drop)

    server = serve(handle)
    with Door(LOOPBACK) as door, pytest.raises(Unreachable, match=r"within 0\.4 seconds"):
        door.send("GET", server.url, deadline_seconds=0.4)


def test_a_server_that_reads_slowly_does_not_stretch_the_deadline(
    serve: Callable[..., Server],
) -> None:
    def handle(connection: Any, server: Server) -> None:
        while not server.closing.wait(0.02):
            connection.recv(1000)

    server = serve(handle)
    with Door(LOOPBACK) as door, pytest.raises(Unreachable, match=r"within 0\.4 seconds"):
        door.send("POST", server.url, body=b"x" * 30_000_000, deadline_seconds=0.4)


def test_a_dead_name_server_does_not_stretch_the_deadline() -> None:
    awake = threading.Event()

    def never(*_args: Any, **_kwargs: Any) -> list[Any]:
        awake.wait()
        return []

    with Door(LOOPBACK, resolve=never) as door, pytest.raises(Unreachable, match="within"):
        door.send("GET", "http://hs.example/", deadline_seconds=0.2)
    awake.set()


def test_a_name_without_an_address_is_told() -> None:
    def unknown(*_args: Any, **_kwargs: Any) -> list[Any]:
        raise socket.gaierror("no such name")

    with Door(LOOPBACK, resolve=unknown) as door, pytest.raises(Unreachable, match="No address"):
        door.send("GET", "http://hs.example/")


def test_a_connection_that_breaks_is_told_without_the_token(serve: Callable[..., Server]) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
    with Door(LOOPBACK) as door, pytest.raises(Unreachable, match="broke") as caught:
        door.send("GET", server.url, headers={"Authorization": "Bearer secret-token"})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Door(LOOPBACK) as door,
        pytest.raises(Unreachable, match=r"at http://127\.0\.0\.1:\d+\. Check"),
    ):
        door.send("GET", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["http:///x", "http://[::1", "/only/a/path"])
def test_something_that_is_no_address_is_refused(url: str) -> None:
    with Door(LOOPBACK) as door, pytest.raises(AddressRefused, match="not a web address"):
        door.send("GET", url)


def test_the_proxy_an_operator_named_gets_every_request(serve: Callable[..., Server]) -> None:
    proxy = serve()
    policy = NetworkPolicy(http_proxy=proxy.url)
    with Door(policy) as door:
        assert door.send("GET", "http://hs.example/x").status == 200
        for refused in ("http://169.254.169.254/", "http://10.0.0.1/"):
            with pytest.raises(AddressRefused):
                door.send("GET", refused)
    assert [request.split("\r\n")[0] for request in proxy.requests] == [
        "GET http://hs.example/x HTTP/1.1"
    ]


def test_the_hook_before_each_request_can_stop_it(serve: Callable[..., Server]) -> None:
    def refuse() -> None:
        raise AssertionError("a database connection is checked out")

    server = serve()
    policy = NetworkPolicy(allowed_private_hosts=("127.0.0.0/8",), before_send=refuse)
    with Door(policy) as door, pytest.raises(AssertionError, match="checked out"):
        door.send("GET", server.url)
    assert server.connections == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of hs.example, with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "hs.pem"
    path.write_bytes(b"".join(self_signed("hs.example")))
    return path


@pytest.fixture
def tls(serve: Callable[..., Server], certificate: Path) -> tuple[Server, list[str | None]]:
    """A TLS server, and the names it was asked for (SNI)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    return serve(answer_all, context), asked


def test_tls_asks_for_and_checks_the_name_not_the_address(
    tls: tuple[Server, list[str | None]], certificate: Path
) -> None:
    server, asked = tls
    policy = NetworkPolicy(("127.0.0.0/8",), ca_bundle=str(certificate))
    with Door(policy, resolve=Names(["127.0.0.1"])) as door:
        for _time in range(2):
            assert door.send("GET", f"https://hs.example:{server.port}/").status == 200
    assert asked == ["hs.example"]
    assert server.connections == 1


@pytest.mark.parametrize("host", ["other.example", "hs.example"])
def test_a_certificate_that_cannot_be_verified_is_told(
    tls: tuple[Server, list[str | None]], certificate: Path, host: str
) -> None:
    server, _asked = tls
    bundle = str(certificate) if host == "other.example" else None
    policy = NetworkPolicy(("127.0.0.0/8",), ca_bundle=bundle)
    door = Door(policy, resolve=Names(["127.0.0.1"]))
    with door, pytest.raises(Unreachable, match="certificate"):
        door.send("GET", f"https://{host}:{server.port}/", headers={"Authorization": "Bearer t"})
    assert server.requests == []


def test_a_tls_server_that_drips_its_body_does_not_stretch_the_deadline(
    serve: Callable[..., Server], certificate: Path
) -> None:
    def handle(connection: Any, server: Server) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not server.closing.wait(0.02):
            connection.sendall(b"x")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve(handle, context)
    policy = NetworkPolicy(("127.0.0.0/8",), ca_bundle=str(certificate))
    door = Door(policy, resolve=Names(["127.0.0.1"]))
    with door, pytest.raises(Unreachable, match=r"within 0\.6 seconds"):
        door.send("GET", f"https://hs.example:{server.port}/", deadline_seconds=0.6)


def relay(source: Any, target: Any) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_tls_goes_through_the_proxy_and_still_checks_the_name(
    serve: Callable[..., Server], tls: tuple[Server, list[str | None]], certificate: Path
) -> None:
    server, asked = tls

    def tunnel(connection: Any, proxy: Server) -> None:
        proxy.read_request(connection)
        with socket.create_connection(("127.0.0.1", server.port)) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=relay, args=(target, connection))
            back.start()
            relay(connection, target)
            back.join()

    proxy = serve(tunnel)
    policy = NetworkPolicy(http_proxy=proxy.url, ca_bundle=str(certificate))
    with Door(policy) as door:
        assert door.send("GET", "https://hs.example/").status == 200
    assert proxy.requests[0].startswith("CONNECT hs.example:443 ")
    assert asked == ["hs.example"]
