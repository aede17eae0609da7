"""``make run`` as a person uses it: started, stopped, started again, and in bad circumstances."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import requests

from commweb.site.homeserver_config import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_SECONDS = 180.0
OURS = {"PORT", "HOMESERVER", "INSTANCE", "ADMIN_PASSWORD", "PEOPLE_PASSWORD"}
CLEAN = {name: value for name, value in os.environ.items() if name not in OURS}


class Run:
    """One run of the supervisor, with all it says in ``log``."""

    def __init__(self, log: Path, instance: Path, **variables: str) -> None:
        self.log = log
        self.port = int(variables.setdefault("PORT", str(free_port())))
        environment = {**CLEAN, "INSTANCE": str(instance), **variables}
        with log.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "default", "-m", "commweb.site.serve"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, sentence: str) -> Run:
        """Wait until it says so."""
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while sentence not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)
        return self

    def up(self) -> Run:
        return self.until("The course site runs on")

    def until_told_of(self, name: str) -> None:
        """Wait until it says that this person has a password for the chat."""
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        told = re.compile(rf"Chat password set for [^\n]*\b{name}\b")
        while not told.search(self.said):
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def get(self, path: str) -> requests.Response:
        return requests.get(
            f"http://127.0.0.1:{self.port}{path}", timeout=30, allow_redirects=False
        )

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def child(self, word: str) -> psutil.Process:
        (found,) = [child for child in self.children() if word in child.cmdline()]
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and answer the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


Runner = Callable[..., Run]


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


@pytest.fixture
def start(tmp_path: Path, instance: Path) -> Iterator[Runner]:
    """Start ``make run``'s program with these environment variables; ended with the test."""
    runs: list[Run] = []

    def start(**variables: str) -> Run:
        runs.append(Run(tmp_path / f"run-{len(runs)}.log", instance, **variables))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.stop()


def test_without_a_homeserver_the_site_and_the_worker_run_and_nothing_is_filled_in(
    start: Runner, instance: Path
) -> None:
    run = start(HOMESERVER="none", ADMIN_PASSWORD="the admins own").up()
    assert run.get("/login").status_code == 200
    assert run.get("/admin/").status_code == 302
    assert {"web", "worker"} <= {word for child in run.children() for word in child.cmdline()}
    assert not (instance / "homeserver.json").exists()
    assert not (instance / "homeserver").exists()
    assert "the admins own" not in run.said
    assert run.said.count("Password, shown only this once") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(start: Runner, number: signal.Signals) -> None:
    run = start(HOMESERVER="none").up()
    children = run.children()
    assert run.stop(number) == 0
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in run.said


def test_a_worker_that_dies_is_started_again(start: Runner) -> None:
    run = start(HOMESERVER="none").up()
    worker = run.child("worker")
    worker.kill()
    run.until("The worker process ended (exit code -9); it is started again.")
    deadline = time.monotonic() + 30
    while not [child for child in run.children() if "worker" in child.cmdline()]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert run.child("worker").pid != worker.pid


def test_everything_ends_when_the_supervisor_is_killed(start: Runner) -> None:
    run = start(HOMESERVER="none").up()
    children = run.children()
    run.process.kill()
    run.process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_first_run_connects_the_site_and_a_second_run_reuses_it_all(
    start: Runner, instance: Path
) -> None:
    first = start(PEOPLE_PASSWORD="for all people").up()
    path = instance / "homeserver.json"
    text = path.read_text(encoding="utf-8")
    note = json.loads(text)
    assert set(note) == {"base_url", "user_id", "access_token"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert note["access_token"] not in first.said
    before = devices(note)
    for name in ("teacher1", "teacher2", *(f"student{n}" for n in range(1, 9))):
        first.until_told_of(name)
    assert signs_in(note, "teacher1", "for all people")
    assert signs_in(note, "student8", "for all people")
    assert connection(instance) == "ok"
    assert "Password, shown only this once" in first.said
    assert_no_child_has(first, "for all people")
    assert_private(instance)
    assert first.stop() == 0

    second = start(PEOPLE_PASSWORD="for all people").up()
    assert path.read_text(encoding="utf-8") == text
    assert devices(note) == before
    assert connection(instance) == "ok"
    time.sleep(3)
    assert "assword" not in second.said, "everybody has one already"
    assert second.stop() == 0
    with pytest.raises(requests.ConnectionError):
        devices(note)


def assert_no_child_has(run: Run, password: str) -> None:
    """None of the processes that were started was given the password."""
    children = run.children()
    assert len(children) >= 3
    for child in children:
        environment = Path(f"/proc/{child.pid}/environ").read_text(errors="replace")
        assert "PORT=" in environment or "PATH=" in environment
        assert password not in environment
        assert password not in " ".join(child.cmdline())


def assert_private(instance: Path) -> None:
    for path in (instance, *instance.rglob("*")):
        if path.is_file() or path.is_dir():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def devices(note: dict[str, str]) -> int:
    """How many sign-ins the homeserver's admin account has."""
    url = f"{note['base_url']}/_synapse/admin/v2/users/{quote(note['user_id'])}/devices"
    headers = {"Authorization": f"Bearer {note['access_token']}"}
    answer = requests.get(url, headers=headers, timeout=30)
    answer.raise_for_status()
    return len(answer.json()["devices"])


def signs_in(note: dict[str, str], username: str, password: str) -> bool:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": username},
        "password": password,
    }
    return requests.post(f"{note['base_url']}/_matrix/client/v3/login", json=body, timeout=30).ok


def connection(instance: Path) -> str | None:
    """The state of the site's stored session, asked in a process of its own."""
    program = (
        "from app import create_app\n"
        "from commweb import CommWeb\n"
        "with create_app().app_context():\n"
        "    print(CommWeb().connection_state('matrix'))\n"
    )
    environment = {**CLEAN, "INSTANCE": str(instance)}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).strip()


def refused(run: Run) -> str:
    """What it said when it refused to start: one sentence or two, no traceback."""
    assert run.process.wait(timeout=UP_WITHIN_SECONDS) == 1
    assert "Traceback" not in run.said
    return run.said.strip().splitlines()[-1]


def test_a_port_in_use_is_told_in_a_sentence(start: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"Port {port} is in use" in refused(start(PORT=str(port), HOMESERVER="none"))


def test_a_port_that_is_no_number_is_told_in_a_sentence(tmp_path: Path, instance: Path) -> None:
    command = [sys.executable, "-m", "commweb.site.serve"]
    environment = {**CLEAN, "PORT": "http", "INSTANCE": str(instance)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "PORT must be a number from 1 to 65535, not 'http'.\n"


def test_an_instance_folder_that_cannot_be_written_is_told_in_a_sentence(
    start: Runner, instance: Path
) -> None:
    instance.write_text("a file, not a folder", encoding="utf-8")
    assert "cannot be written to" in refused(start(HOMESERVER="none"))


def test_a_broken_database_is_told_in_a_sentence(start: Runner, instance: Path) -> None:
    instance.mkdir()
    (instance / "site.db").write_bytes(b"this is no database " * 500)
    assert "cannot be used: file is not a database" in refused(start(HOMESERVER="none"))


def test_an_empty_key_file_is_told_in_a_sentence(start: Runner, instance: Path) -> None:
    instance.mkdir()
    (instance / "secret_key").touch()
    assert "is empty" in refused(start(HOMESERVER="none"))


def test_a_damaged_homeserver_folder_is_told_in_a_sentence(start: Runner, instance: Path) -> None:
    (instance / "homeserver").mkdir(parents=True)
    (instance / "homeserver" / "homeserver.yaml").write_text("{", encoding="utf-8")
    assert "homeserver.yaml cannot be read" in refused(start())
