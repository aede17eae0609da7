"""Connects the course site with its local homeserver, once, and keeps what it made.

In the homeserver's folder: ``admin_password``. In the instance folder: ``homeserver.json`` with a
sign-in of its own, for people who want to look; the site's token pair has one user, the site.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from commweb import CommWeb
from commweb.site.homeserver import Homeserver, HomeserverError, install_synapse
from commweb.site.homeserver_config import write_private

__all__ = ["bring_up", "connect"]

# Not a name that one of the site's people could have: this account creates the rooms.
ADMIN = "commweb"
ACTOR = "make run"
TOKEN_LIFETIME = "5m"  # noqa: S105 (a duration)
ELEMENT = "https://app.element.io"
# Everybody signs in from this one machine. The limits for each account stay as they are.
LIMITS = {"rc_login": {"address": {"per_second": 1, "burst_count": 100}}}


@dataclass(frozen=True)
class Note:
    """What ``homeserver.json`` says."""

    base_url: str
    user_id: str
    access_token: str = field(repr=False)


def bring_up(instance: Path, say: Callable[[str], None]) -> Homeserver:
    """Install Synapse where it is missing and start the instance's. Raises `HomeserverError`."""
    python = install_synapse(say=say)
    server = Homeserver(
        instance / "homeserver",
        python,
        refreshable_access_token_lifetime=TOKEN_LIFETIME,
        config=LIMITS,
        one_processor=True,
    )
    say("Starting the homeserver ...")
    server.start()
    return server


def connect(app: Flask, server: Homeserver, instance: Path) -> None:
    """Make sure that the site is signed in to ``server`` and that ``homeserver.json`` is right.

    Signs in only where nothing usable is stored, so a second run changes nothing. The subsystem
    is turned on with the first connection; what an admin chose later stays.
    """
    path = instance / "homeserver.json"
    note = _read(path)
    password = _admin_password(server)
    if note is None or not server.token_works(note.access_token):
        server.register_admin(ADMIN, password)
        answer = server.login(ADMIN, password)
        note = Note("", answer["user_id"], answer["access_token"])
    server.admin_token = note.access_token
    with app.app_context():
        _sign_in_where_needed(server, password, moved=note.base_url != server.base_url)
    wanted = Note(server.base_url, note.user_id, note.access_token)
    write_private(path, json.dumps(asdict(wanted), indent=2) + "\n")


def _sign_in_where_needed(server: Homeserver, password: str, *, moved: bool) -> None:
    comm = CommWeb()
    state = comm.connection_state("matrix")
    if state == "ok" and not moved:
        return
    values: dict[str, str | bool] = {"home_server_url": server.base_url}
    if state is None:
        values |= {"element_web_url": ELEMENT, "create_rooms_for_new_courses": True}
    answer = server.login(ADMIN, password, refresh_token=True)
    comm.configure(
        "matrix",
        values,
        access_token=answer["access_token"],
        refresh_token=answer["refresh_token"],
        expires_in_seconds=answer["expires_in_ms"] / 1000,
        user_id=answer["user_id"],
        device_id=answer["device_id"],
        actor=ACTOR,
    )
    if state is None:
        comm.set_enabled(True, actor=ACTOR)


def _admin_password(server: Homeserver) -> str:
    path = server.folder / "admin_password"
    try:
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24) + "\n")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HomeserverError(f"The file {path} cannot be read or written.") from error


def _read(path: Path) -> Note | None:
    """None when there is none, or it is damaged: then it is made again."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        note = Note(**values)
    except (OSError, ValueError, TypeError):
        return None
    return note if all(isinstance(value, str) for value in asdict(note).values()) else None
