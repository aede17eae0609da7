"""What the environment of ``make run`` asks for, and what its child processes get to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from commweb.site.private import without_passwords

__all__ = ["ROOT", "Choices", "ServeError", "child_environment", "read_choices"]

ROOT = Path(__file__).resolve().parents[2]
PRIVATE_HOSTS = "COMMWEB_ALLOWED_PRIVATE_HOSTS"


class ServeError(Exception):
    """The site cannot be started; the message is a sentence for the person at the terminal."""


@dataclass(frozen=True)
class Choices:
    """What the environment asked for. ``instance`` is absolute."""

    port: int
    homeserver: bool
    instance: Path
    admin_password: str | None = field(repr=False)
    people_password: str | None = field(repr=False)


def read_choices(environment: Mapping[str, str]) -> Choices:
    """Read the environment. Raises `ServeError` for values that make no sense."""
    port = environment.get("PORT") or "5000"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ServeError(f"PORT must be a number from 1 to 65535, not {port!r}.")
    homeserver = environment.get("HOMESERVER") or "local"
    if homeserver not in {"local", "none"}:
        raise ServeError(f"HOMESERVER may only be none or not set, not {homeserver!r}.")
    return Choices(
        port=int(port),
        homeserver=homeserver == "local",
        instance=Path(environment.get("INSTANCE") or ROOT / "instance").expanduser().resolve(),
        admin_password=environment.get("ADMIN_PASSWORD") or None,
        people_password=environment.get("PEOPLE_PASSWORD") or None,
    )


def child_environment(environment: Mapping[str, str], choices: Choices) -> dict[str, str]:
    """The environment for web and worker: no passwords, loopback homeservers allowed."""
    private = environment.get(PRIVATE_HOSTS, "127.0.0.0/8")
    return {
        f"FLASK_{PRIVATE_HOSTS}": private,
        **without_passwords(environment),
        "INSTANCE": str(choices.instance),
        "PORT": str(choices.port),
        "PYTHONUNBUFFERED": "1",
    }
