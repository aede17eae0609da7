"""Child processes end when they are told to, when they do not listen, and with their parent."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from commweb.site.children import Child, watched_module


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], list[str]]:
    """Write a module and answer the command that runs it in ``tmp_path``."""

    def write(source: str) -> list[str]:
        (tmp_path / "program.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return watched_module("program", "an argument")

    return write


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


FOREVER = """
    import pathlib, signal, time
    pathlib.Path("started").touch()
    while True:
        time.sleep(0.1)
"""
DEAF = FOREVER.replace("while", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while").replace(
    'pathlib.Path("started").touch()\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)',
    'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    pathlib.Path("started").touch()',
)


def test_the_module_runs_as_the_main_program_with_its_arguments(
    tmp_path: Path, module: Callable[[str], list[str]]
) -> None:
    command = module("import sys; print(__name__, sys.argv[1:])")
    child = Child(command, folder=tmp_path, log=tmp_path / "log")
    assert child.wait(time.monotonic() + 30) == 0
    assert (tmp_path / "log").read_text(encoding="utf-8") == "__main__ ['an argument']\n"


def test_a_child_that_listens_ends_by_the_first_signal(
    tmp_path: Path, module: Callable[[str], list[str]]
) -> None:
    child = Child(module(FOREVER), folder=tmp_path)
    wait_for(tmp_path / "started")
    assert child.exit_code() is None
    assert child.stop(within_seconds=30) == -15


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, module: Callable[[str], list[str]]
) -> None:
    child = Child(module(DEAF), folder=tmp_path)
    wait_for(tmp_path / "started")
    assert child.stop(within_seconds=0.2) == -9


def test_stopping_a_child_that_has_ended_tells_its_exit_code(
    tmp_path: Path, module: Callable[[str], list[str]]
) -> None:
    child = Child(module("raise SystemExit(7)"), folder=tmp_path)
    assert child.wait(time.monotonic() + 30) == 7
    assert child.stop(within_seconds=1) == 7
    assert child.kill() == 7


def test_a_child_ends_when_its_parent_is_killed(
    tmp_path: Path, module: Callable[[str], list[str]]
) -> None:
    module("""
        import pathlib, signal, time
        def ended(number, frame):
            pathlib.Path("ended").touch()
            raise SystemExit(0)
        signal.signal(signal.SIGTERM, ended)
        pathlib.Path("started").touch()
        while True:
            time.sleep(0.1)
    """)
    parent = (
        "import pathlib, sys, time\n"
        "from commweb.site.children import Child, watched_module\n"
        "child = Child(watched_module('program'), folder=pathlib.Path(sys.argv[1]))\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)]) as program:
        wait_for(tmp_path / "started")
        program.kill()
    wait_for(tmp_path / "ended")
