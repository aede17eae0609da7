"""A real Synapse on loopback, for ``make run`` and the live tests."""

from __future__ import annotations

import fcntl
import importlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from commweb.site.children import Child, watched_module
from commweb.site.homeserver_accounts import Accounts, session
from commweb.site.homeserver_config import (
    LOOPBACK,
    free_port,
    port_is_free,
    read_config,
    write_config,
)
from commweb.site.homeserver_install import HomeserverError, install_synapse
from commweb.site.private import without_secrets

__all__ = ["Homeserver", "HomeserverError", "install_synapse"]

_UP_WITHIN_SECONDS = 120.0
_STOP_WITHIN_SECONDS = 8.0


class _PortTakenError(HomeserverError):
    """Another program took the chosen port first; choosing again helps."""


@dataclass
class Homeserver(Accounts):
    """One Synapse: its folder, and the process while it runs.

    ``folder`` keeps everything (configuration, database, log) and is made when missing.
    ``python`` is the interpreter that has Synapse, from `install_synapse`. ``port``: None takes
    the port of the last start, or a free one when that is taken; a number means this port or an
    error. ``refreshable_access_token_lifetime`` in Synapse's spelling ("5m", "2s"); None means
    that tokens do not expire. ``config``: further keys of homeserver.yaml. ``one_processor``: its
    threads share one; Synapse's event loop and its database threads pass Python's lock to each
    other all the time, which costs a third more across processors (docs/bench.md).

    Use it as a context manager, or call `start` and `stop`. Not for use from several threads.
    """

    folder: Path
    python: Path
    server_name: str = "localhost"
    port: int | None = None
    refreshable_access_token_lifetime: str | None = "5m"  # noqa: S105 (a duration)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    one_processor: bool = False
    _child: Child | None = field(default=None, init=False, repr=False)
    _listening_on: int | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Homeserver:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it answers, without a trailing slash. Raises before the first start."""
        if self._listening_on is None:
            raise HomeserverError("The homeserver has not been started.")
        return f"http://{LOOPBACK}:{self._listening_on}"

    @property
    def server(self) -> str:
        return self.server_name

    @property
    def log_path(self) -> Path:
        return self.folder / "homeserver.log"

    @property
    def pid(self) -> int | None:
        """Of the running process; None when it does not run."""
        return self._child.pid if self._child and self._child.exit_code() is None else None

    def start(self) -> None:
        """Start it and return when it answers; nothing happens when it already runs.

        Raises `HomeserverError`, and leaves nothing running then.
        """
        if self.pid is not None:
            return
        self.stop()
        try:
            self._start()
        except _PortTakenError:
            # Somebody took the free port between our choosing it and our listening on it.
            self._start()

    def stop(self, within_seconds: float = _STOP_WITHIN_SECONDS) -> None:
        """SIGTERM, and SIGKILL after ``within_seconds``. Returns when the process is gone."""
        if self._child is not None:
            self._child.stop(within_seconds)
            self._child = None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        """Stop and start; the port stays unless somebody took it meanwhile."""
        self.stop()
        self.start()

    def cpu_seconds(self) -> float:
        """Processor time the running process used so far, user and system."""
        times = importlib.import_module("psutil").Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def _start(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(self.folder)
        except OSError as error:
            raise HomeserverError(
                f"The homeserver cannot use the folder {self.folder}: {error.strerror or error}."
            ) from error
        try:
            self._launch(lock)
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(lock)

    def _launch(self, lock: int) -> None:
        port = self._choose_port()
        try:
            written = write_config(
                self.folder,
                server_name=self.server_name,
                port=port,
                refreshable_access_token_lifetime=self.refreshable_access_token_lifetime,
                extra=self.config,
            )
        except OSError as error:
            raise HomeserverError(
                f"The homeserver cannot write to {self.folder}: {error.strerror or error}."
            ) from error
        self.registration_secret = written["registration_shared_secret"]
        self._listening_on = port
        self._child = Child(
            watched_module(
                "synapse.app.homeserver",
                "--config-path",
                str(self.folder / "homeserver.yaml"),
                python=self.python,
            ),
            folder=self.folder,
            environment=_environment(),
            log=self.log_path,
            # The lock lives as long as the process: no second one can use the folder.
            pass_fds=(lock,),
        )
        if self.one_processor:
            _keep_to_one_processor(self._child.pid)

    def _choose_port(self) -> int:
        if self.port is not None:
            if port_is_free(self.port):
                return self.port
            raise HomeserverError(
                f"Port {self.port} is in use by another program, so the homeserver cannot start."
            )
        earlier = read_config(self.folder)
        kept = self._listening_on or (int(earlier["listeners"][0]["port"]) if earlier else None)
        return kept if kept is not None and port_is_free(kept) else free_port()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _UP_WITHIN_SECONDS
        with session() as http:
            while time.monotonic() < deadline:
                if self.pid is None:
                    raise self._why_it_ended()
                with suppress(requests.RequestException):
                    if http.get(f"{self.base_url}/health", timeout=5).ok:
                        return
                time.sleep(0.1)
        raise HomeserverError(
            f"The homeserver did not answer within {_UP_WITHIN_SECONDS:.0f} seconds. "
            f"{self.last_words()}"
        )

    def _why_it_ended(self) -> HomeserverError:
        taken = self._listening_on is not None and not port_is_free(self._listening_on)
        kind = _PortTakenError if taken and self.port is None else HomeserverError
        return kind(f"The homeserver did not start. {self.last_words()}")

    def last_words(self) -> str:
        """Where the log is and its last lines, without secrets."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        lines = [line.strip() for line in text[-4000:].splitlines() if line.strip(" *\n")][-3:]
        said = (" Its last words: " + " / ".join(lines)) if lines else ""
        return f"Its log is {self.log_path}.{self._without_secrets(said)}"

    def _without_secrets(self, text: str) -> str:
        earlier = read_config(self.folder) or {}
        hidden = [v for k, v in earlier.items() if isinstance(v, str) and "secret" in k]
        for secret in hidden:
            text = text.replace(secret, "(hidden)")
        return text


def _environment() -> dict[str, str]:
    own = without_secrets(os.environ)
    return {k: v for k, v in own.items() if not k.startswith(("PYTHON", "SYNAPSE_"))}


def _lock(folder: Path) -> int:
    """Take the folder for one process. Waits a while for one that is still stopping."""
    handle = os.open(folder / "homeserver.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _STOP_WITHIN_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            os.close(handle)
            raise HomeserverError(
                f"A homeserver is already running from {folder}. Stop the program that started it."
            ) from None
        return handle


def _keep_to_one_processor(pid: int) -> None:
    """Before the process has any threads: they stay where it is."""
    with suppress(AttributeError, OSError):  # Linux only
        os.sched_setaffinity(pid, {max(os.sched_getaffinity(pid))})
