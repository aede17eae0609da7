"""The site's configuration: defaults, the environment, and keys made at the first run."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from flask import Flask

__all__ = ["configure", "instance_folder"]

MEBIBYTE = 1024 * 1024
LOOPBACK_NAMES = ("127.0.0.1", "localhost")

DEFAULTS: Mapping[str, Any] = {
    "SITE_NAME": "Course site",
    "SITE_URL": None,  # where browsers find the site; None: this machine, port PORT or 5000
    "SQLALCHEMY_DATABASE_URI": "sqlite:///site.db",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "WTF_CSRF_TIME_LIMIT": None,  # as long as the session: nobody loses a long text
    "MAX_CONTENT_LENGTH": 6 * MEBIBYTE,
    "MAX_IMAGE_BYTES": 2 * MEBIBYTE,
    "LOGIN_LIMIT": "10 per minute; 50 per hour",  # failures, for each account and address
    "LOGIN_LIMIT_BY_ACCOUNT": "30 per minute; 300 per hour",  # from anywhere
    "LOGIN_LIMIT_BY_ADDRESS": "300 per minute",  # whatever the account
    "TRUSTED_PROXIES": 0,  # how many proxies in front of the site set X-Forwarded-For and -Proto
    "TRUSTED_HOSTS": None,  # names the site answers to; None: that of SITE_URL, and loopback's
    "RATELIMIT_STORAGE_URI": "memory://",
    "PASSWORD_HASHING": {},  # arguments of argon2.PasswordHasher
    "BOOTSTRAP_SERVE_LOCAL": True,
    "COMMWEB_URL_PREFIX": "",
    "COMMWEB_LAYOUT": "base.html",
}


def instance_folder(root: Path, config: Mapping[str, Any] | None = None) -> str:
    """The folder a running site writes to: ``INSTANCE`` of ``config`` or of the environment,
    else ``instance`` in ``root``. Made when it is missing.
    """
    named = (config or {}).get("INSTANCE") or os.environ.get("INSTANCE")
    folder = Path(named).expanduser().resolve() if named else root / "instance"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)


def configure(app: Flask, overrides: Mapping[str, Any] | None = None) -> None:
    """Fill ``app.config``: defaults, then ``FLASK_...``, then ``overrides``; then missing keys
    come from the instance folder. Raises `RuntimeError` for a key file without a key, or a number
    of proxies that is none.
    """
    config = app.config
    config.from_mapping(DEFAULTS)
    config.from_prefixed_env()
    config.from_mapping(overrides or {})
    if not config["SITE_URL"]:
        config["SITE_URL"] = f"http://127.0.0.1:{os.environ.get('PORT') or 5000}"
    config["TRUSTED_HOSTS"] = _trusted_hosts(config)
    config["TRUSTED_PROXIES"] = _trusted_proxies(config["TRUSTED_PROXIES"])
    folder = Path(app.instance_path)
    if not config["SECRET_KEY"]:
        config["SECRET_KEY"] = _key(folder / "secret_key", lambda: secrets.token_urlsafe(48))
    if not config.get("COMMWEB_SECRET_KEYS"):
        config["COMMWEB_SECRET_KEYS"] = _key(
            folder / "commweb_secret_key", lambda: Fernet.generate_key().decode()
        )
    if str(config["SQLALCHEMY_DATABASE_URI"]).startswith("sqlite"):
        # Web and worker write the same file: wait for each other instead of failing.
        config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", {"connect_args": {"timeout": 15}})


def _trusted_hosts(config: Mapping[str, Any]) -> list[str]:
    """As Werkzeug wants them: names without ports; a leading dot means a whole domain."""
    named = config["TRUSTED_HOSTS"]
    if named:
        return named.replace(",", " ").split() if isinstance(named, str) else list(named)
    own = urlsplit(config["SITE_URL"]).hostname
    return [*LOOPBACK_NAMES, *([own] if own and own not in LOOPBACK_NAMES else ())]


def _trusted_proxies(number: Any) -> int:
    if isinstance(number, bool) or not str(number).isdecimal():
        raise RuntimeError(
            f"TRUSTED_PROXIES must be the number of proxies in front of the site, not {number!r}."
        )
    return int(number)


def _key(path: Path, make: Callable[[], str]) -> str:
    """The key in the file, made first when there is none.

    Web and worker may start together: each writes a file of its own and links it into place,
    which fails for the second one, so that both read the same complete key.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    key = path.read_text().strip()
    if not key:
        raise RuntimeError(f"The key file {path} is empty. Delete it, and a new key is created.")
    return key
