"""Connections that go where they were checked to go, and end when their time is over.

The parts of `commweb.net` that reach into urllib3 2: a connection asks the guard for its socket
(`_new_conn`), and its socket waits for the guard's deadline.
"""

from __future__ import annotations

import functools
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter

from commweb.addresses import (
    is_allowed,
    is_metadata_address,
    is_metadata_host,
    is_public,
    parse_address,
)
from commweb.errors import AddressRefused, Unreachable
from commweb.i18n import gettext as _

__all__ = ["CHUNK_BYTES", "Guard", "GuardedAdapter", "Resolve"]

CHUNK_BYTES = 65536
Resolve = Callable[..., list[Any]]


class Guard:
    """Checks and dials addresses, and keeps each thread's deadline."""

    def __init__(self, allowed: tuple[str, ...], resolve: Resolve | None) -> None:
        self._allowed = allowed
        self._resolve = resolve or socket.getaddrinfo
        self._thread = threading.local()

    def start(self, seconds: float, place: str) -> None:
        """``place``: the server that is asked, as messages name it."""
        self._thread.ends = time.monotonic() + seconds
        self._thread.place = place

    def is_over(self) -> bool:
        return time.monotonic() >= float(self._thread.ends)

    def left(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        seconds = float(self._thread.ends) - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline has passed")
        return seconds

    def check_name(self, host: str) -> None:
        """What can be said before any lookup; all there is to say for a proxied request."""
        address = parse_address(host)
        if is_metadata_host(host):
            raise AddressRefused(_metadata_sentence(host))
        if address is not None:
            self._check(host, str(address))

    def _check(self, host: str, text: str) -> None:
        address = parse_address(text)
        if address is not None and is_metadata_address(address):
            raise AddressRefused(_metadata_sentence(host))
        if address is None or not (is_public(address) or is_allowed(host, address, self._allowed)):
            raise AddressRefused(
                _(
                    "%(host)s leads to a private or reserved network address, which is not "
                    "connected to unless COMMWEB_ALLOWED_PRIVATE_HOSTS allows it.",
                    host=host,
                )
            )

    def dial(self, host: str, port: int, options: Any, *, checked: bool) -> socket.socket:
        """A connection to ``host``; every address it has is checked first unless it is the
        operator's own proxy."""
        found = self._look_up(host, port)
        if checked:
            for entry in found:
                self._check(host, str(entry[4][0]))
        for index, (family, kind, protocol, _name, target) in enumerate(found):
            share = self.left() / (len(found) - index)
            sock = socket.socket(family, kind, protocol)
            try:
                for option in options or ():
                    sock.setsockopt(*option)
                sock.settimeout(share)
                sock.connect(target)
                sock.settimeout(self.left())
            except OSError:
                sock.close()
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        place = self._thread.place if checked else f"{host}:{port}"
        raise Unreachable(
            _(
                "Nothing answers at %(address)s. Check the address and whether the homeserver "
                "runs.",
                address=place,
            )
        )

    def _look_up(self, host: str, port: int) -> list[Any]:
        box: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()

        def work() -> None:
            found = None
            try:
                found = self._resolve(host, port, type=socket.SOCK_STREAM)
            except (OSError, ValueError):
                pass  # no such name
            finally:
                box.put(found)

        # A lookup cannot be interrupted: a dead resolver keeps its thread, not us.
        threading.Thread(target=work, name="commweb-resolve", daemon=True).start()
        try:
            found = box.get(timeout=self.left())
        except queue.Empty:
            raise TimeoutError("the name lookup took too long") from None
        if not found:
            raise Unreachable(
                _(
                    "No address was found for %(host)s. Check %(address)s.",
                    host=host,
                    address=self._thread.place,
                )
            )
        return found


def _metadata_sentence(host: str) -> str:
    return _("%(host)s is a cloud metadata service, which is never connected to.", host=host)


class GuardedAdapter(HTTPAdapter):
    """Gives every pool our connection classes."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        https = isinstance(pool, urllib3.HTTPSConnectionPool)
        kind = _GuardedHTTPSConnection if https else _GuardedHTTPConnection
        pool.ConnectionCls = functools.partial(kind, guard=self._guard)
        return pool


class _Guarded:
    """What the two kinds of connection have in common: they dial through a guard."""

    sock: Any
    _dns_host: str
    port: int
    proxy: Any
    socket_options: Any

    def __init__(self, *args: Any, guard: Guard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._held: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Head and body leave in one piece: in two, the server wakes up twice for a request."""
        self._held = []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            held, self._held = self._held, None
        self.send(b"".join(held))

    def send(self, data: Any) -> None:
        if self._held is not None and isinstance(data, bytes):
            self._held.append(data)
        else:
            super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        sock = self.sock
        try:
            return super().getresponse()  # type: ignore[misc]
        except BaseException:
            # A head that makes no sense to urllib3: what has read it so far is nobody's to close.
            if isinstance(sock, _TimedSocket):
                sock.abandon()
            raise

    def _new_conn(self) -> socket.socket:
        host = self._dns_host.strip("[]")
        checked = self.proxy is None
        return self._guard.dial(host, self.port, self.socket_options, checked=checked)

    def _tunnel(self) -> None:
        """Ask the operator's proxy for a way through; its answer must not drip either."""
        plain = self.sock
        self.sock = _TimedSocket(plain, self._guard)
        super()._tunnel()  # type: ignore[misc]
        self.sock = plain

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = _TimedSocket(self.sock, self._guard)


class _GuardedHTTPConnection(_Guarded, urllib3.connection.HTTPConnection):
    pass


class _GuardedHTTPSConnection(_Guarded, urllib3.connection.HTTPSConnection):
    pass


class _TimedSocket:
    """A connected socket whose every read and write waits no longer than the deadline.

    A socket's own timeout starts anew with each byte that comes.
    """

    def __init__(self, sock: socket.socket | ssl.SSLSocket, guard: Guard) -> None:
        self._sock = sock
        self._guard = guard
        self._reader: io.BufferedReader | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: Any, *flags: int) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            self._sock.settimeout(self._guard.left())
            rest = rest[self._sock.send(rest[:CHUNK_BYTES], *flags) :]

    def makefile(self, mode: str = "rb", *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        raw = self._sock.makefile("rb", buffering=0)
        self._reader = io.BufferedReader(_TimedReader(raw, self._sock, self._guard))
        return self._reader

    def abandon(self) -> None:
        """End the connection now, although somebody may still mean to read from it."""
        if self._reader is not None:
            self._reader.close()
        self._sock.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: Any, sock: socket.socket | ssl.SSLSocket, guard: Guard) -> None:
        self._raw = raw
        self._sock = sock
        self._guard = guard

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._guard.left())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
