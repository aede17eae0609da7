"""A test that fails while it has tokens in hand prints none, not even with all its variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.doors.planted import ACCESS, REFRESH, found_in

ROOT = Path(__file__).resolve().parents[3]
# The tokens come from outside: pytest shows the lines of a failing test.
FAILING = """
import os

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.net import Door, NetworkPolicy
from commweb.providers.matrix.transport import Transport


def test_a_request_that_nobody_answers():
    secret, refresh = Secret(os.environ["PLANTED_ACCESS"]), Secret(os.environ["PLANTED_REFRESH"])
    pair = TokenPair(secret, refresh)
    with Door(NetworkPolicy(("127.0.0.1",))) as door:
        transport = Transport(door, "http://127.0.0.1:9", seconds=5)
        body = {"refresh_token": pair.refresh}
        transport.call("POST", "/_matrix/client/v3/refresh", body=body, token=pair.access)
"""


def test_a_failing_test_shows_its_variables_and_no_token(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING, encoding="utf-8")
    asked = ["-m", "pytest", "-p", "no:cacheprovider", "-n0", "--showlocals", "--tb=long", "-vv"]
    done = subprocess.run(
        [sys.executable, *asked, "--rootdir", str(tmp_path), "-c", os.devnull, "test_failing.py"],
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PLANTED_ACCESS": ACCESS,
            "PLANTED_REFRESH": REFRESH,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    # The variables of the innermost calls were shown.
    assert "Nothing answers at" in done.stdout
    assert "headers    = " in done.stdout
    assert found_in(done.stdout, done.stderr) == set()
