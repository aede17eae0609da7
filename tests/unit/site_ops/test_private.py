"""What a running site writes is its own account's, and no other program gets its passwords."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.site.children import Child, watched_module
from commweb.site.homeserver import Homeserver
from commweb.site.private import keep_private, without_passwords, without_secrets

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def wide_open() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_an_earlier_version_left_open_is_tightened(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    media = folder / "homeserver" / "media" / "local"
    media.mkdir(parents=True)
    files = [
        folder / "site.db",
        folder / "site.db-wal",
        folder / "commweb-queue.db",
        folder / "secret_key",
        folder / "homeserver.json",
        folder / "homeserver" / "signing.key",
        media / "picture",
    ]
    for file in files:
        file.write_text("x")
        assert mode(file) == 0o644
    keep_private(folder)
    assert [mode(file) for file in files] == [0o600] * len(files)
    assert {mode(path) for path in (folder, folder / "homeserver", media)} == {0o700}


def test_what_the_site_does_not_write_stays_as_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.write_text("x")
    folder = tmp_path / "instance"
    (folder / "synapse-venv").mkdir(parents=True)
    (folder / "notes.txt").write_text("x")
    (folder / "link.db").symlink_to(elsewhere)
    keep_private(folder)
    assert mode(folder / "notes.txt") == 0o644
    assert mode(folder / "synapse-venv") == 0o755
    assert mode(elsewhere) == 0o644


def test_a_folder_that_everybody_shares_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    keep_private(shared)
    assert mode(shared) == 0o777 | stat.S_ISVTX


@pytest.mark.parametrize(
    "program",
    [
        "from app import create_app\nfrom commweb.site.seed import prepare, seed\n"
        "app = create_app()\nprepare(app)\nseed(app)",
        "import runpy, sys\nsys.argv = ['flask', '--app', 'app', 'commweb', 'upgrade']\n"
        "runpy.run_module('flask', run_name='__main__')",
    ],
    ids=["factory and seed", "flask commweb upgrade"],
)
def test_whoever_starts_the_site_its_files_are_for_their_owner_only(
    tmp_path: Path, program: str
) -> None:
    folder = tmp_path / "instance"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"INSTANCE": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    assert mode(folder) == 0o700
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "site.db" in written
    assert {path.name: mode(path) for path in written} == {path.name: 0o600 for path in written}


def test_a_child_writes_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import pathlib; pathlib.Path('written').touch()")
    child = Child(watched_module("program"), folder=tmp_path)
    assert child.wait(time.monotonic() + 30) == 0
    assert mode(tmp_path / "written") == 0o600


SECRETS = {
    "ADMIN_PASSWORD": "one",
    "PEOPLE_PASSWORD": "two",
    "FLASK_SECRET_KEY": "three",
    "FLASK_SQLALCHEMY_DATABASE_URI": "postgresql://site:four@db/site",
    "COMMWEB_SECRET_KEYS": "five",
}


def test_the_environment_of_others_holds_no_password_and_no_key() -> None:
    assert without_secrets({**SECRETS, "LANG": "C"}) == {"LANG": "C"}
    kept = without_passwords(SECRETS)
    assert "ADMIN_PASSWORD" not in kept
    assert "PEOPLE_PASSWORD" not in kept
    assert kept["FLASK_SECRET_KEY"] == "three", "web and worker are the site"


@pytest.mark.local_server
def test_the_process_of_the_homeserver_is_started_without_passwords_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # Stands in for Synapse: answers on its port, and shows the environment it was given.
    package = tmp_path / "synapse" / "app"
    package.mkdir(parents=True)
    (package / "homeserver.py").write_text(
        "import http.server, json, pathlib, sys\n"
        "config = json.loads(pathlib.Path(sys.argv[2]).read_text())\n"
        "class Up(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', config['listeners'][0]['port']), Up).serve_forever()"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with Homeserver(tmp_path / "homeserver", python) as server:
        seen = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
    names = {each.partition("=")[0] for each in seen}
    assert "PATH" in names
    assert not names & set(SECRETS)
