"""A course site run by its own supervisor, as ``make run`` does, and a browser to look at it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, sync_playwright

from commweb.site.children import watched_module
from commweb.site.homeserver_config import free_port

__all__ = ["ADMIN", "RunningSite", "chromium", "password_of", "running"]

ROOT = Path(__file__).resolve().parents[2]
UP = "The course site runs on"
UP_WITHIN_SECONDS = 240.0
STOPPED_WITHIN_SECONDS = 60.0
ADMIN = "admin"
ADMIN_PASSWORD = secrets.token_urlsafe(12)
PEOPLE_PASSWORD = secrets.token_urlsafe(12)
# What the shell that runs the tests may hold and the site must not see.
OURS = ("PORT", "HOMESERVER", "INSTANCE", "ADMIN_PASSWORD", "PEOPLE_PASSWORD", "FLASK_", "COMMWEB_")
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
)


def password_of(username: str) -> str:
    """The password of one of the people every site starts with."""
    return ADMIN_PASSWORD if username == ADMIN else PEOPLE_PASSWORD


class RunningSite:
    """The site in ``folder``, with web, worker and (with ``homeserver``) a Synapse of its own."""

    def __init__(self, folder: Path, *, homeserver: bool) -> None:
        self.instance = folder / "instance"
        self.log = folder / "site.log"
        self.homeserver = homeserver
        self.port = free_port()
        self.logins: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """All that the supervisor and its children wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start it and return when its pages answer. Raises `AssertionError` with what it said."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        environment |= {
            "INSTANCE": str(self.instance),
            "PORT": str(self.port),
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "PEOPLE_PASSWORD": PEOPLE_PASSWORD,
        }
        if not self.homeserver:
            environment["HOMESERVER"] = "none"
        before = self.said.count(UP) if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                watched_module("commweb.site.serve"),  # or it outlives tests that are interrupted
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_for(before + 1)

    def _wait_for(self, times: int) -> None:
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while self.said.count(UP) < times:
            assert self._process is not None
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask it to stop as Ctrl-C does, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=STOPPED_WITHIN_SECONDS)
        assert process.stdin is not None
        process.stdin.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def note(self) -> dict[str, str]:
        """What ``homeserver.json`` says: base_url, user_id and a token to look with."""
        text = (self.instance / "homeserver.json").read_text(encoding="utf-8")
        values: dict[str, str] = json.loads(text)
        return values

    def homeserver_password(self) -> str:
        """The password of the homeserver's admin account ``commweb``."""
        return (self.instance / "homeserver" / "admin_password").read_text("utf-8").strip()

    def child(self, word: str) -> psutil.Process:
        """The one child process that has ``word`` among its arguments."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        (found,) = [child for child in children if word in child.cmdline()]
        return found

    @contextmanager
    def supervisor_paused(self) -> Iterator[None]:
        """A child that ends is not started again before the block is left."""
        assert self._process is not None
        supervisor = psutil.Process(self._process.pid)
        supervisor.suspend()
        try:
            yield
        finally:
            supervisor.resume()


@contextmanager
def running(folder: Path, *, homeserver: bool) -> Iterator[RunningSite]:
    """A started site, stopped at the end."""
    site = RunningSite(folder, homeserver=homeserver)
    try:
        site.start()
        yield site
    finally:
        site.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium. Raises `AssertionError` when there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Chromium is not installed. On Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
