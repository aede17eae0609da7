"""Stands between commweb and a homeserver and breaks what a test scripts.

A real HTTP/1.1 proxy on loopback: keep-alive towards commweb, one connection a request towards
the homeserver. It knows nothing of Matrix except the shape of an error.
"""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.live.fault_relay import JSON, KINDS, RelayServer, Reply

__all__ = ["KINDS", "Fault", "FaultProxy"]


@dataclass
class Fault:
    """What happens to the next ``times`` requests whose ``METHOD /path`` matches ``pattern``.

    ``kind`` is one of `KINDS`; ``seconds`` is how long it waits, or asks to wait. ``first`` is
    called before it happens, while the request is on its way; ``over`` is set when one of the
    requests is over, whether anybody waited for its answer or not.
    """

    kind: str
    pattern: str = ""
    times: int = 1
    seconds: float = 1.0
    first: Callable[[], object] | None = None
    over: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}.")


class FaultProxy:
    """Relays to the homeserver at ``target``. Use `before`; may be told things from any thread."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).netloc
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: list[str] = []
        self._met: list[str] = []
        self._statuses: Counter[int] = Counter()
        self._server: RelayServer | None = None
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
        self._server = RelayServer(("127.0.0.1", self._port), self)
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

    def relay(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
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
        return Reply(answer.status, data, answer.headers.get("Content-Type") or JSON, kept)
