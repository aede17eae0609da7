"""The college's real processes: flask, gunicorn and a worker on loopback, ended by their pid."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
WSGI = "tests.embedding.college.wsgi"
LONGEST_SECONDS = 120.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FLASK_")}
    ours = {"COLLEGE_FOLDER": str(folder), "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return {**kept, **ours, **more}


def flask(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """``flask ...`` in a process of its own: how it ended, and the threads it started."""
    said = folder / "threads.json"
    said.unlink(missing_ok=True)
    ended = subprocess.run(
        [sys.executable, "-m", "flask", "--app", WSGI, *words],
        env=environment(folder, THREADS_FILE=str(said)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert said.exists(), ended.stderr
    return ended, json.loads(said.read_text())


def until(ready: Any, what: str) -> Any:
    """What ``ready()`` gives once it gives something; fails after two minutes."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"Waited in vain for {what}.")


@contextmanager
def running(folder: Path, name: str, *command: str) -> Iterator[tuple[psutil.Process, Path]]:
    """A process that runs until the end of the block, and its log."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment(folder),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield psutil.Process(process.pid), log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def gunicorn(folder: Path, *more: str) -> Iterator[tuple[str, psutil.Process]]:
    """gunicorn with three workers: its address and its process."""
    words = ("gunicorn", "--workers", "3", "--bind", "127.0.0.1:0", *more, f"{WSGI}:app")
    with running(folder, "gunicorn", *words) as (process, log):

        def address() -> str | None:
            assert process.is_running(), log.read_text()
            found = re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", log.read_text())
            return found[1] if found else None

        url = until(address, f"gunicorn: {log.read_text()}")
        until(lambda: log.read_text().count("Booting worker with pid") >= 3, "three workers")
        yield url, process


def answers(url: str, session: requests.Session) -> Any:
    with session.get(url, timeout=30) as reply:
        reply.raise_for_status()
        return reply.json()
