"""Keeps what a running site writes from the other people of the machine.

Files get mode 600 and folders 700, whoever starts the site and whatever their umask is. Passwords
do not go into the environment of other programs: all that runs as the same account, and every
crash report, can read them there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["PASSWORDS", "keep_private", "without_passwords", "without_secrets"]

PASSWORDS = frozenset({"ADMIN_PASSWORD", "PEOPLE_PASSWORD"})
"""The variables of ``make run`` that hold a password."""

# What the site, its worker and its homeserver write. Anything else in the folder is not ours to
# change: somebody may have named a folder that holds more.
FILES = (
    "*.db",
    "*.db-*",
    "secret_key",
    "commweb_secret_key",
    ".*_key.*",
    "homeserver.json*",
    "*.log",
    "*.lock",
    "bench.json",
)
FOLDERS = ("homeserver",)
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(folder: Path) -> None:
    """Make the process write for its own account only, and tighten what is in the instance folder
    already. What cannot be changed (another owner, a read-only disk) stays.
    """
    os.umask(0o077)
    if folder != folder.parent:
        _tighten(folder, unless=stat.S_ISVTX)  # not /tmp or the like
    for path in _written(folder):
        _tighten(path)


def _written(folder: Path) -> Iterator[Path]:
    for pattern in FILES:
        yield from folder.glob(pattern)
    for name in FOLDERS:
        for parent, _folders, files in os.walk(folder / name):
            yield Path(parent)
            yield from (Path(parent, file) for file in files)


def _tighten(path: Path, unless: int = 0) -> None:
    with suppress(OSError):
        status = path.lstat()
        plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        ours = status.st_uid == os.geteuid()
        if plain and ours and status.st_mode & OTHERS and not status.st_mode & unless:
            path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)


def without_passwords(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the passwords of ``make run``, for web and worker."""
    return {name: value for name, value in environment.items() if name not in PASSWORDS}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without passwords and without the site's configuration, which holds keys and
    may hold the password of a database: for programs that are not the site.
    """
    return {
        name: value
        for name, value in without_passwords(environment).items()
        if not name.startswith(("FLASK_", "COMMWEB_"))
    }
