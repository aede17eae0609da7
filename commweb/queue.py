"""Wake-ups for the worker: a hint, never the truth. Losing them all loses no work."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huey import Huey, RedisHuey
from huey.serializer import SignedSerializer
from huey.storage import SqliteStorage

from commweb.errors import MisuseError

__all__ = ["Queue", "make_queue"]

NAME = "commweb"
TASK = "commweb.work"
MOST_SECONDS = 0.3
"""How long a queue may keep the host's commit waiting."""
SLOW_SECONDS = 0.1
PAUSE_SECONDS = 5.0
"""For how long a queue that failed slowly is left alone."""

log = logging.getLogger(__name__)


class Queue:
    """The queue of one app. ``wake`` is called inside the host's commit, so it never raises.

    ``work`` is what a worker does when it is woken; pages never call it.
    """

    def __init__(self, make: Callable[[], Any] | None) -> None:
        self._make = make
        self._huey: Any = None
        self._work: Callable[[], object] | None = None
        self._task: Any = None
        self._quiet_until = 0.0

    @property
    def inline(self) -> bool:
        """Whether nothing is sent anywhere (tests drive the worker themselves)."""
        return self._make is None

    @property
    def huey(self) -> Any:
        """The Huey instance, made on first use; None when inline."""
        if self._huey is None and self._make is not None:
            self._huey = self._make()
            # One generic task with a fixed name and no arguments: a newer worker understands
            # what an older web process enqueued.
            self._task = self._huey.task(name=TASK)(self._do)
        return self._huey

    def on_work(self, work: Callable[[], object]) -> None:
        """What the worker does for each wake-up."""
        self._work = work

    def _do(self) -> None:
        if self._work is not None:
            self._work()

    def wake(self, times: int = 1) -> None:
        """Tell the worker that there is something to do. A queue that does not answer is left
        alone for a while, so that not every commit waits for it."""
        began = time.monotonic()
        if self._make is None or began < self._quiet_until:
            return
        try:
            if self.huey is not None:
                for _ in range(times):
                    self._task()
        except Exception as error:  # noqa: BLE001  (inside the host's commit nothing may escape)
            if time.monotonic() - began > SLOW_SECONDS:
                self._quiet_until = time.monotonic() + PAUSE_SECONDS
            log.warning(
                "The worker could not be woken (%s); its sweep finds the work.",
                type(error).__name__,
            )

    def close(self) -> None:
        """Give the connection back."""
        if self._huey is not None:
            self._huey.storage.close()
            self._huey = None


def make_queue(url: str | None, instance_path: str, secret: str, *, instance: str) -> Queue:
    """The queue named by COMMWEB_QUEUE_URL (see `commweb.config`). ``instance`` (COMMWEB_INSTANCE)
    keeps sites apart that share a file or a Redis: each takes its own wake-ups only.

    Raises `MisuseError` for an address it does not understand.
    """
    if url == "inline":
        return Queue(None)
    # A digest, because Redis' queues keep letters and digits of a name only.
    name = NAME + hashlib.sha256(instance.encode()).hexdigest()[:16]
    serializer = SignedSerializer(secret=secret, salt="commweb-queue")
    if url is None:
        path = Path(instance_path) / "commweb-queue.db"
        return Queue(lambda: _sqlite(name, path, serializer))
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path:
        path = Path(parts.path.removeprefix("/") if parts.path.startswith("//") else parts.path)
        return Queue(lambda: _sqlite(name, path, serializer))
    if parts.scheme in ("redis", "rediss"):
        return Queue(lambda: _redis(name, url, serializer))
    raise MisuseError(
        "COMMWEB_QUEUE_URL must be empty, 'inline', sqlite:////path/to/file or redis://host/0."
    )


def _sqlite(name: str, path: Path, serializer: SignedSerializer) -> Huey:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Huey(
        name,
        storage_class=_FileStorage,
        filename=str(path),
        fsync=False,
        timeout=MOST_SECONDS,
        results=False,
        serializer=serializer,
    )


def _redis(name: str, url: str, serializer: SignedSerializer) -> Huey:
    """Redis, asked once and for a moment only: nothing is tried again inside the host's commit.
    The worker asks now and then instead of waiting for an answer, which would need more time."""
    from redis import ConnectionPool  # an optional dependency
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = ConnectionPool.from_url(
        url,
        socket_connect_timeout=MOST_SECONDS,
        socket_timeout=MOST_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisHuey(
        name, connection_pool=pool, blocking=False, serializer=serializer, results=False
    )


class _FileStorage(SqliteStorage):  # type: ignore[misc]  # huey has no types
    """Huey's SQLite file, made again when somebody deletes or replaces it while it is in use.

    An open connection to a deleted file goes on working, and nobody else ever sees what is put
    there: every wake-up would be lost without a word.
    """

    _conn: Any
    _file: tuple[int, int] | None = None

    @property
    def conn(self) -> Any:
        """The connection; asked for under the storage's lock."""
        if self._conn is not None and self._file != _identity(self.filename):
            self._conn.close()
            self._conn = None
        if self._conn is None:
            self._conn = self._opened()
            self._file = _identity(self.filename)
        return self._conn

    def _opened(self) -> Any:
        connection = self._create_connection()
        try:
            for statement in self.ddl:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
