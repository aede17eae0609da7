"""A connected course site that goes to its homeserver by another address."""

from __future__ import annotations

from typing import Any

from flask import Flask

from commweb.site import comm
from commweb.site.homeserver import Homeserver

__all__ = ["reconnect", "sign_in"]


def sign_in(server: Homeserver) -> dict[str, Any]:
    """A new token pair of the site's own account."""
    password = (server.folder / "admin_password").read_text(encoding="utf-8").strip()
    return server.login("commweb", password, refresh_token=True)


def reconnect(app: Flask, server: Homeserver, base_url: str) -> None:
    """From now on the site reaches ``server`` at ``base_url``, with a sign-in for it."""
    answer = sign_in(server)
    with app.app_context():
        comm.configure(
            "matrix",
            {"home_server_url": base_url},
            access_token=answer["access_token"],
            refresh_token=answer["refresh_token"],
            expires_in_seconds=answer["expires_in_ms"] / 1000,
            user_id=answer["user_id"],
            device_id=answer["device_id"],
        )
