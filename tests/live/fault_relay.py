"""The relay behind `tests.live.fault_proxy.FaultProxy`: one thread a connection."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from tests.any_method import AnyMethod

__all__ = ["JSON", "KINDS", "REFUSALS", "RelayServer", "Reply"]

RESET = struct.pack("ii", 1, 0)
PAGE = b"<!doctype html><title>Maintenance</title><h1>Back soon</h1>"
HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Fault(Protocol):
    """What is to happen to a request."""

    kind: str
    seconds: float
    first: Callable[[], object] | None
    over: threading.Event


class Director(Protocol):
    """Says what happens, and asks the homeserver."""

    def fault_for(self, line: str) -> Any:
        """A `Fault` for this request, or None."""

    def relay(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        """The homeserver's answer. Raises OSError and `http.client.HTTPException`."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class RelayServer(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: Director) -> None:
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


class _Relay(AnyMethod):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: RelayServer

    def any_method(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._body = self.rfile.read(length) if length else None
        path = self.path.partition("?")[0]
        fault = self.server.proxy.fault_for(f"{self.command} {path}")
        if fault is None:
            self._answer(self._ask())
            return
        try:
            if fault.first is not None:
                fault.first()
            KINDS[fault.kind](self, fault)
        finally:
            fault.over.set()

    def _ask(self) -> Reply:
        names = ("Authorization", "Content-Type")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        try:
            return self.server.proxy.relay(self.command, self.path, self._body, headers)
        except (OSError, http.client.HTTPException):
            return Reply(502, PAGE, HTML)

    def _answer(self, reply: Reply) -> None:
        self._head(reply, len(reply.body))
        self.wfile.write(reply.body)

    def _head(self, reply: Reply, length: int | None) -> None:
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
        self._answer(Reply(500, json.dumps(body).encode()))

    def _fail_afterwards(self, fault: Fault) -> None:
        self._ask()
        self._fail(fault)

    def _bad_gateway(self, fault: Fault) -> None:
        self._answer(Reply(502, PAGE, HTML))

    def _html(self, fault: Fault) -> None:
        self._answer(Reply(200, PAGE, HTML))

    def _garbage(self, fault: Fault) -> None:
        self._answer(Reply(200, b'{"room_id": "!half'))

    def _pass_on(self, fault: Fault) -> None:
        self._answer(self._ask())

    def _refuse(self, fault: Fault) -> None:
        self._answer(REFUSALS[fault.kind])

    def _limit(self, fault: Fault) -> None:
        body = {
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Too Many Requests",
            "retry_after_ms": int(fault.seconds * 1000),
        }
        self._answer(Reply(429, json.dumps(body).encode()))

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


REFUSALS: Mapping[str, Reply] = MappingProxyType(
    {
        "404 M_UNRECOGNIZED": Reply(
            404, b'{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}'
        ),
        "404 with a page": Reply(404, PAGE, HTML),
        "403 with a page": Reply(403, PAGE, HTML),
        "410": Reply(410, b""),
        "502 with JSON": Reply(502, b'{"errcode": "M_UNKNOWN", "error": "Failed to reach it"}'),
    }
)
"""Answers of something between commweb and the homeserver, which does not pass the request on."""

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
        "passed on": _Relay._pass_on,
        **dict.fromkeys(REFUSALS, _Relay._refuse),
    }
)
"""Every kind of fault. A server that cannot be connected to is `FaultProxy.down`."""
