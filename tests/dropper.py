"""Stands before a homeserver and loses some of its replies."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.any_method import AnyMethod


class Dropper(http.server.ThreadingHTTPServer):
    """Relays requests; the server has handled what `lose` loses, only the reply is gone."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, base_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.target = base_url.removeprefix("http://")
        self.dropped = 0
        self._lock = threading.Lock()
        self._part, self._times = "", 0

    @classmethod
    @contextmanager
    def before(cls, base_url: str) -> Iterator[Dropper]:
        """One that runs before the homeserver at ``base_url``."""
        with cls(base_url) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lose(self, part: str, times: int = 1) -> None:
        """Lose the next ``times`` replies to requests whose path holds ``part``."""
        with self._lock:
            self._part, self._times = part, times

    def loses(self, path: str) -> bool:
        with self._lock:
            if self._times == 0 or self._part not in path:
                return False
            self._times -= 1
            self.dropped += 1
            return True


class _Relay(AnyMethod):
    server: Dropper

    def any_method(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        names = ("Authorization", "Content-Type")
        kept = {name: self.headers[name] for name in names if self.headers[name]}
        upstream = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            upstream.request(self.command, self.path, body, kept)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        if self.server.loses(self.path):
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
