"""A homeserver of the test's own on loopback that writes down everything it is sent."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.any_method import AnyMethod

OWN = "@bot:hs.test"


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([f"{self.method} {self.path}", *lines, self.body.decode("latin-1")])


@dataclass(frozen=True)
class Told:
    """What is answered."""

    status: int
    content: Any = None
    headers: Mapping[str, str] | None = None

    @property
    def body(self) -> bytes:
        return json.dumps({} if self.content is None else self.content).encode()


Answer = Callable[[Seen], Told | None]


class Homeserver:
    """Answers as a Matrix homeserver does whose one session belongs to ``OWN``, an admin.

    ``access`` and ``refresh`` are the tokens it gives out; ``instead`` may answer before it does.
    """

    def __init__(
        self,
        access: str = "given-access",
        refresh: str = "given-refresh",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.access, self.refresh = access, refresh
        self.requests: list[Seen] = []
        self.instead: Answer | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def text(self) -> str:
        """Every request that came."""
        return "\n\n".join(seen.text for seen in self.requests)

    def forget(self) -> None:
        """As if nobody had asked yet, and as well behaved as at first."""
        self.requests.clear()
        self.instead = None

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, seen: Seen) -> Told:
        told = self.instead(seen) if self.instead else None
        return told or self._ordinary(seen)

    def _ordinary(self, seen: Seen) -> Told:
        path = urlsplit(seen.path).path  # a proxy is asked for whole addresses
        pair = {
            "access_token": self.access,
            "refresh_token": self.refresh,
            "expires_in_ms": 3_600_000,
        }
        known: dict[str, Any] = {
            "/_matrix/client/versions": {"versions": ["v1.1", "v1.11"]},
            "/_matrix/client/v3/account/whoami": {"user_id": OWN, "device_id": "D"},
            "/_matrix/client/v3/login": {**pair, "user_id": OWN, "device_id": "D"},
            "/_matrix/client/v3/refresh": pair,
        }
        known["/_matrix/client/v3/createRoom"] = {"room_id": "!made:hs.test"}
        if path.startswith("/_synapse/admin/v2/users/") and seen.method == "GET":
            return Told(200, {"name": unquote(path.rpartition("/")[2]), "displayname": "Somebody"})
        if path.startswith("/_matrix/client/v3/rooms/") and seen.method == "PUT":
            return Told(200, {"event_id": "$event"})
        if path in known:
            return Told(200, known[path])
        if path.endswith("/admin"):
            return Told(200, {"admin": True})
        if path.endswith("/override_ratelimit"):
            return Told(200, {"messages_per_second": 0, "burst_count": 0})
        return Told(404, {"errcode": "M_UNRECOGNIZED", "error": "no such path"})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        homeserver = self

        class Handler(AnyMethod):
            protocol_version = "HTTP/1.1"

            def any_method(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                seen = Seen(self.command, self.path, dict(self.headers.items()), body)
                homeserver.requests.append(seen)
                told = homeserver.answer(seen)
                self.send_response(told.status)
                for name, value in (told.headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

        return Handler


@contextmanager
def homeserver(
    access: str = "given-access",
    refresh: str = "given-refresh",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Homeserver]:
    """Started, and closed at the end."""
    server = Homeserver(access, refresh, tls)
    try:
        yield server
    finally:
        server.close()


def polite(seen: Seen) -> Told | None:
    """For `Homeserver.instead`: lets a conversation be made, and knows every account."""
    if seen.path.endswith("/createRoom"):
        return Told(200, {"room_id": "!talk:hs.test"})
    if "/rooms/" in seen.path:
        return Told(200, {"event_id": "$1", "delete_id": "1"})
    if seen.method == "PUT" or "/v2/users/" in seen.path:
        named = unquote(seen.path.rpartition("/")[2])
        return Told(200, {"name": named, "deactivated": False, "admin": False})
    return None
