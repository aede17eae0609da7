"""Whatever is raised while a request is sent leaves without what the request held."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from requests.adapters import HTTPAdapter

from commweb.encryption import Secret
from commweb.net import Door, NetworkPolicy
from commweb.providers.matrix import calls
from commweb.providers.matrix.transport import Transport
from tests.unit.doors.homeserver import Homeserver

pytestmark = pytest.mark.local_server

TOKEN = "syt_planted_access_in_frames"
PASSWORD = "planted password in frames"
FAULTS: list[BaseException] = [
    KeyboardInterrupt(),
    SystemExit(1),
    MemoryError(),
    RuntimeError("can't start new thread"),
    GeneratorExit(),
]


def held(value: Any, depth: int = 0, seen: set[int] | None = None) -> bool:
    """Whether a tool that writes down ``value``, or digs in it, would find a planted secret."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth > 12 or isinstance(value, Secret | type):
        return False
    seen.add(id(value))
    text = value.decode("latin-1") if isinstance(value, bytes | bytearray) else value
    if isinstance(text, str):
        return TOKEN in text or PASSWORD in text
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inside = list(value)
    elif hasattr(value, "__dict__"):
        inside = list(vars(value).values())
    return any(held(one, depth + 1, seen) for one in inside)


def frames(error: BaseException | None) -> Iterator[Any]:
    """The variables of every function of the package, or of a library, that the error and what it
    came from passed through."""
    if error is None:
        return
    yield error.args, vars(error)
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/tests/" not in name:
            yield name, trace.tb_frame.f_code.co_name, dict(trace.tb_frame.f_locals)
        trace = trace.tb_next
    yield from frames(error.__cause__)
    yield from frames(error.__context__)


@pytest.fixture
def server() -> Iterator[Homeserver]:
    running = Homeserver()
    yield running
    running.close()


PLACES: list[tuple[str, Any, str]] = [
    ("thread start", threading.Thread, "start"),
    ("socket connect", socket.socket, "connect"),
    ("socket options", socket.socket, "setsockopt"),
    ("socket send", socket.socket, "send"),
    ("socket time-out", socket.socket, "settimeout"),
    ("tls", ssl.SSLContext, "wrap_socket"),
    ("adapter send", HTTPAdapter, "send"),
    ("pool", urllib3.HTTPConnectionPool, "urlopen"),
    ("request", urllib3.connection.HTTPConnection, "request"),
    ("answer", urllib3.connection.HTTPConnection, "getresponse"),
    ("stream", urllib3.response.HTTPResponse, "stream"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize(("owner", "name"), [p[1:] for p in PLACES], ids=[p[0] for p in PLACES])
def test_nothing_that_is_raised_holds_a_token_or_a_password(
    server: Homeserver,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    fault: BaseException,
) -> None:
    real, mine = getattr(owner, name), threading.current_thread()

    def fail(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is not mine:  # the server's own
            return real(*args, **kwargs)
        raise fault

    url = server.url.replace("http:", "https:") if owner is ssl.SSLContext else server.url
    with Door(NetworkPolicy(("127.0.0.0/8",))) as door:
        transport = Transport(door, url, seconds=5)
        body = {"password": Secret(PASSWORD)}
        monkeypatch.setattr(owner, name, fail)
        with pytest.raises(BaseException) as caught:  # noqa: PT011  whatever it becomes
            transport.call("POST", calls.LOGIN.path, body=body, token=Secret(TOKEN))
        monkeypatch.undo()
    if not isinstance(fault, Exception):
        assert caught.value is fault
    assert [frame[:2] for frame in frames(caught.value) if held(frame)] == []


def test_the_search_finds_what_a_frame_holds() -> None:
    def leaky(headers: dict[str, str]) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        leaky({"Authorization": f"Bearer {TOKEN}"})
    trace: Any = caught.value.__traceback__
    assert held(dict(trace.tb_next.tb_frame.f_locals))
    assert not held({"token": Secret(TOKEN)})


def test_a_hook_that_refuses_to_send_leaves_without_the_token(server: Homeserver) -> None:
    def refuse() -> None:
        raise AssertionError("a connection is out")

    policy = NetworkPolicy(("127.0.0.0/8",), before_send=refuse)
    call: Callable[..., Any]
    with Door(policy) as door:
        call = Transport(door, server.url, seconds=5).call
        with pytest.raises(AssertionError) as caught:
            call("GET", calls.WHOAMI.path, token=Secret(TOKEN))
    assert [frame[:2] for frame in frames(caught.value) if held(frame)] == []
