"""Stands between commweb and a homeserver and breaks what a test scripts.

A real HTTP/1.1 proxy on loopback: keep-alive towards commweb, one connection a request towards
the homeserver. It knows nothing of Matrix except the shape of an error.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

__all__ = ["KINDS", "Fault", "FaultProxy"]

RESET = struct.pack("ii", 1, 0)
PAGE = b"<!doctype html><title>Maintenance</title><h1>Back soon</h1>"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


@dataclass
class Fault:
    """What happens to the next ``times`` requests whose ``METHOD /path`` matches ``pattern``.

    ``kind`` is one of `KINDS`; ``seconds`` is how long it waits, or asks to wait.
    """

    kind: str
    pattern: str = ""
    times: int = 1
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}.")


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultProxy:
    """Relays to the homeserver at ``target``. Use `before`; may be told things from any thread."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).netloc
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: list[str] = []
        self._met: list[str] = []
        self._statuses: Counter[int] = Counter()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    @classmethod
    @contextmanager
    def before(cls, target: str) -> Iterator[FaultProxy]:
        """One that runs before the homeserver at ``target``."""
        proxy = cls(target)
        proxy.up()
        try:
            yield proxy
        finally:
            proxy.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listen (again), always on the same port."""
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def down(self) -> None:
        """Refuse connections and break the ones there are, as a stopped homeserver does."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return
        server.closing.set()  # whoever drips or waits stops doing so
        server.shutdown()
        thread.join()
        server.cut_all()
        server.server_close()

    def script(self, *faults: Fault) -> None:
        """Do this to coming requests; of faults that match, the one scripted first."""
        with self._lock:
            self._faults += faults

    def heal(self) -> None:
        """Forget the faults that are scripted."""
        with self._lock:
            self._faults.clear()

    def waiting(self) -> int:
        """How many faults have not happened yet."""
        with self._lock:
            return sum(fault.times for fault in self._faults)

    def count(self, pattern: str = "") -> int:
        """How many requests ``METHOD /path`` matched ``pattern`` until now."""
        with self._lock:
            return sum(1 for line in self._seen if re.search(pattern, line))

    def met(self) -> list[str]:
        """The faults that happened, as ``kind METHOD /path``."""
        with self._lock:
            return list(self._met)

    def statuses(self) -> dict[int, int]:
        """How many answers of the homeserver had which status."""
        with self._lock:
            return dict(self._statuses)

    def fault_for(self, line: str) -> Fault | None:
        """Note the request; what is to happen to it. For the relay."""
        with self._lock:
            self._seen.append(line)
            for fault in self._faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    self._met.append(f"{fault.kind} {line}")
                    return fault
        return None

    def relay(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> _Reply:
        """Ask the homeserver. Raises OSError and `http.client.HTTPException`."""
        upstream = http.client.HTTPConnection(self._target, timeout=60)
        try:
            upstream.request(method, path, body, headers)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        with self._lock:
            self._statuses[answer.status] += 1
        kept = {key: answer.headers[key] for key in ("Retry-After",) if answer.headers[key]}
        return _Reply(answer.status, data, answer.headers.get("Content-Type") or JSON, kept)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        super().__init__(address, _Relay)
        self.proxy = proxy
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the other end went away, which is what this is for


class _Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._body = self.rfile.read(length) if length else None
        path = self.path.partition("?")[0]
        fault = self.server.proxy.fault_for(f"{self.command} {path}")
        if fault is None:
            self._answer(self._ask())
        else:
            KINDS[fault.kind](self, fault)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, *_args: Any) -> None:
        pass

    def _ask(self) -> _Reply:
        names = ("Authorization", "Content-Type")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        try:
            return self.server.proxy.relay(self.command, self.path, self._body, headers)
        except (OSError, http.client.HTTPException):
            return _Reply(502, PAGE, HTML)

    def _answer(self, reply: _Reply) -> None:
        self._head(reply, len(reply.body))
        self.wfile.write(reply.body)

    def _head(self, reply: _Reply, length: int | None) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _reset(self, _fault: Fault | None = None) -> None:
        """End the connection with a reset instead of a proper end."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connection.close()

    def _wait(self, seconds: float) -> None:
        self.server.closing.wait(seconds)

    def _lose_the_reply(self, fault: Fault) -> None:
        self._ask()
        self._reset()

    def _fail(self, fault: Fault) -> None:
        body = {"errcode": "M_UNKNOWN", "error": "Internal server error"}
        self._answer(_Reply(500, json.dumps(body).encode()))

    def _fail_afterwards(self, fault: Fault) -> None:
        self._ask()
        self._fail(fault)

    def _bad_gateway(self, fault: Fault) -> None:
        self._answer(_Reply(502, PAGE, HTML))

    def _html(self, fault: Fault) -> None:
        self._answer(_Reply(200, PAGE, HTML))

    def _garbage(self, fault: Fault) -> None:
        self._answer(_Reply(200, b'{"room_id": "!half'))

    def _limit(self, fault: Fault) -> None:
        body = {
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Too Many Requests",
            "retry_after_ms": int(fault.seconds * 1000),
        }
        self._answer(_Reply(429, json.dumps(body).encode()))

    def _delay(self, fault: Fault) -> None:
        self._wait(fault.seconds)
        self._answer(self._ask())

    def _slow_first_byte(self, fault: Fault) -> None:
        reply = self._ask()
        self._wait(fault.seconds)
        self._answer(reply)

    def _drip(self, fault: Fault) -> None:
        """One byte at a time, spread over ``seconds``."""
        reply = self._ask()
        self._head(reply, len(reply.body))
        for place in range(len(reply.body)):
            self._wait(fault.seconds / max(1, len(reply.body)))
            self.wfile.write(reply.body[place : place + 1])

    def _never_end(self, fault: Fault) -> None:
        self._head(self._ask(), None)
        while not self.server.closing.wait(0.2):
            self.wfile.write(b"1\r\n \r\n")

    def _cut(self, fault: Fault) -> None:
        reply = self._ask()
        self._head(reply, len(reply.body))
        self.wfile.write(reply.body[: len(reply.body) // 2])
        self._reset()


KINDS: Mapping[str, Callable[[_Relay, Fault], None]] = MappingProxyType(
    {
        "reset before the server did the work": _Relay._reset,
        "reset after the server did the work": _Relay._lose_the_reply,
        "500": _Relay._fail,
        "500 after the server did the work": _Relay._fail_afterwards,
        "502 with a page": _Relay._bad_gateway,
        "a page instead of JSON": _Relay._html,
        "garbage instead of JSON": _Relay._garbage,
        "429": _Relay._limit,
        "delay": _Relay._delay,
        "slow first byte": _Relay._slow_first_byte,
        "dripping body": _Relay._drip,
        "never-ending body": _Relay._never_end,
        "cut in the middle of the body": _Relay._cut,
    }
)
"""Every kind of fault. A server that cannot be connected to is `FaultProxy.down`."""
