"""Wake-ups for the worker: a hint, never the truth. Losing them all loses no work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huey import RedisHuey, SqliteHuey
from huey.serializer import SignedSerializer

from commweb.errors import MisuseError

__all__ = ["Queue", "make_queue"]

NAME = "commweb"
TASK = "commweb.work"

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
        """Tell the worker that there is something to do."""
        if self._make is None:
            return
        try:
            if self.huey is not None:
                for _ in range(times):
                    self._task()
        except Exception as error:  # noqa: BLE001  (inside the host's commit nothing may escape)
            log.warning(
                "The worker could not be woken (%s); its sweep finds the work.",
                type(error).__name__,
            )

    def close(self) -> None:
        """Give the connection back."""
        if self._huey is not None:
            self._huey.storage.close()
            self._huey = None


def make_queue(url: str | None, instance_path: str, secret: str) -> Queue:
    """The queue named by COMMWEB_QUEUE_URL (see `commweb.config`).

    Raises `MisuseError` for an address it does not understand.
    """
    if url == "inline":
        return Queue(None)
    serializer = SignedSerializer(secret=secret, salt="commweb-queue")
    if url is None:
        return Queue(lambda: _sqlite(Path(instance_path) / "commweb-queue.db", serializer))
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path:
        path = Path(parts.path.removeprefix("/") if parts.path.startswith("//") else parts.path)
        return Queue(lambda: _sqlite(path, serializer))
    if parts.scheme in ("redis", "rediss"):
        return Queue(lambda: RedisHuey(NAME, url=url, serializer=serializer, results=False))
    raise MisuseError(
        "COMMWEB_QUEUE_URL must be empty, 'inline', sqlite:////path/to/file or redis://host/0."
    )


def _sqlite(path: Path, serializer: SignedSerializer) -> SqliteHuey:
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteHuey(
        NAME,
        filename=str(path),
        fsync=False,
        timeout=0.3,
        results=False,
        serializer=serializer,
    )
