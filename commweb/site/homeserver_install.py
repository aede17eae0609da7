"""Installs Synapse into a virtualenv of its own: it pins much that must not reach the site's.

The finished virtualenv carries a marker with what was installed. One without the marker, with
another one, or that cannot import Synapse is thrown away and made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from commweb.site.private import without_secrets

__all__ = ["HomeserverError", "install_synapse", "python_of"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_PINNED = _REPOSITORY / "constraints-synapse.txt"  # the tested version and all it needs
_MARKER = "commweb-installed"
_NO_NETWORK = (
    "No matching distribution",
    "Failed to establish a new connection",
    "Name or service not known",
    "Temporary failure in name resolution",
    "ConnectTimeout",
    "Connection refused",
    "Network is unreachable",
)


class HomeserverError(Exception):
    """The local homeserver cannot do what it was asked; the message is a sentence for people."""


def python_of(venv: Path) -> Path:
    """The interpreter of a virtualenv."""
    return venv / "bin" / "python"


def _say_nothing(sentence: str) -> None:
    """For callers that show no progress."""


def install_synapse(venv: Path | None = None, say: Callable[[str], None] = _say_nothing) -> Path:
    """Make sure Synapse is installed and answer its interpreter.

    ``venv`` defaults to ``instance/synapse-venv`` of the repository, shared by everything that
    starts a Synapse from it. Two callers at once: the second waits for the first. ``say`` is told
    before anything that takes long. Raises `HomeserverError`.
    """
    venv = venv or _REPOSITORY / "instance" / "synapse-venv"
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(venv.with_suffix(".lock"), say):
            if not _is_good(venv):
                say("Installing Synapse, once; this takes a minute or two ...")
                _install(venv)
    except OSError as error:
        raise HomeserverError(
            f"Synapse cannot be installed into {venv}: {error.strerror or error}."
        ) from error
    return python_of(venv)


@contextmanager
def _only_one(lock: Path, say: Callable[[str], None]) -> Iterator[None]:
    with lock.open("w") as file:
        # The installer keeps the lock too: should we be killed, nobody installs over it.
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another program that is installing Synapse ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor} "
    return hashlib.sha256(version.encode() + _PINNED.read_bytes()).hexdigest()


def _is_good(venv: Path) -> bool:
    try:
        marker = (venv / _MARKER).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if marker != _fingerprint() or not python_of(venv).exists():
        return False
    return _run([str(python_of(venv)), "-c", "import synapse.app.homeserver"])[0] == 0


def _install(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    code, output = _run([sys.executable, "-m", "venv", str(venv)])
    if code:
        _keep(venv, output)
        raise HomeserverError(
            f"A virtualenv for Synapse could not be created in {venv}. "
            "On Debian, install the package python3-venv."
        )
    pip = [str(python_of(venv)), "-m", "pip", "install", "--no-input", "--retries", "2"]
    code, output = _run([*pip, "-r", str(_PINNED)])
    if code:
        raise HomeserverError(_why_not_installed(_keep(venv, output), output))
    (venv / _MARKER).write_text(_fingerprint(), encoding="utf-8")


def _why_not_installed(log: Path, output: str) -> str:
    if any(sign in output for sign in _NO_NETWORK):
        return (
            "Synapse could not be installed, because the package index was not reached or does "
            "not have it. Check the network and try again, or set HOMESERVER=none to run the "
            f"site without a homeserver. What pip said is in {log}."
        )
    return f"Synapse could not be installed. What pip said is in {log}."


def _keep(venv: Path, output: str) -> Path:
    """Keep what the installer said, for its owner only: it may name addresses with passwords."""
    log = venv.with_name("synapse-install.log")
    log.unlink(missing_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(output)
    return log


def _run(command: list[str]) -> tuple[int, str]:
    # PYTHONPATH and the like of this process must not leak into the other interpreter.
    own = without_secrets(os.environ)
    environment = {k: v for k, v in own.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment,
        close_fds=False,
        start_new_session=True,
    )
    return done.returncode, done.stdout
