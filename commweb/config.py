"""The one table of configuration keys. Code, documentation and errors read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commweb.errors import MisuseError

__all__ = ["KEYS", "Config", "Key", "read"]


@dataclass(frozen=True)
class Key:
    """One configuration key: its name in ``app.config``, its default, and what it means."""

    name: str
    default: Any
    meaning: str


KEYS: tuple[Key, ...] = (
    Key(
        "COMMWEB_SECRET_KEYS",
        None,
        "Fernet keys (a list, or one string with commas). The first seals, all open. Required.",
    ),
    Key("COMMWEB_URL_PREFIX", "/communication", "Where the pages are registered; may be empty."),
    Key("COMMWEB_LAYOUT", "commweb/layout.html", "The template our pages extend."),
    Key(
        "COMMWEB_STYLESHEET",
        None,
        "URL of a stylesheet. None: our own. Empty: none, the host styles the pages.",
    ),
    Key(
        "COMMWEB_QUEUE_URL",
        None,
        "Where wake-ups go: sqlite:///file, redis://..., or inline (tests). "
        "None: a file in the instance folder.",
    ),
    Key(
        "COMMWEB_ALLOWED_PRIVATE_HOSTS",
        "",
        "Host names or networks an operator allows although they are private, with commas.",
    ),
    Key("COMMWEB_CA_BUNDLE", None, "File with the certificate authorities to trust instead."),
    Key("COMMWEB_HTTP_PROXY", None, "The proxy for every request; none is read from elsewhere."),
    Key(
        "COMMWEB_INSTANCE",
        "default",
        "The name of this installation. A copied database under another name must sign in again.",
    ),
    Key(
        "COMMWEB_DRIFT_CHECK_HOURS",
        6.0,
        "How often each room is compared with its course although nothing was reported; 0: never.",
    ),
)


@dataclass(frozen=True)
class Config:
    """The configuration of one app, checked and typed."""

    secret_keys: tuple[str, ...]
    url_prefix: str
    layout: str
    stylesheet: str | None
    queue_url: str | None
    allowed_private_hosts: tuple[str, ...]
    ca_bundle: str | None
    http_proxy: str | None
    instance: str
    drift_check_hours: float

    def __repr__(self) -> str:
        return f"<commweb.Config instance={self.instance!r} url_prefix={self.url_prefix!r}>"


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else list(value or ())
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _hours(value: Any) -> float:
    try:
        hours = float(value)
    except (TypeError, ValueError):
        hours = -1.0
    if not 0 <= hours < 24 * 365:
        raise MisuseError("COMMWEB_DRIFT_CHECK_HOURS must be a number of hours; 0 means never.")
    return hours


def read(config: Mapping[str, Any]) -> Config:
    """Read the table from ``app.config``.

    Raises `MisuseError` when there is no key to seal secrets with: there is no working default.
    """
    values = {key.name: config.get(key.name, key.default) for key in KEYS}
    secret_keys = _names(values["COMMWEB_SECRET_KEYS"])
    if not secret_keys:
        raise MisuseError(
            "commweb needs COMMWEB_SECRET_KEYS to seal the tokens it keeps. Make a key with "
            '`python -c "from cryptography.fernet import Fernet; '
            "print(Fernet.generate_key().decode())\"` and set it in the app's configuration."
        )
    prefix = str(values["COMMWEB_URL_PREFIX"] or "").rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise MisuseError("COMMWEB_URL_PREFIX must be empty or start with a slash.")
    return Config(
        secret_keys=secret_keys,
        url_prefix=prefix,
        layout=str(values["COMMWEB_LAYOUT"]),
        stylesheet=values["COMMWEB_STYLESHEET"],
        queue_url=values["COMMWEB_QUEUE_URL"],
        allowed_private_hosts=_names(values["COMMWEB_ALLOWED_PRIVATE_HOSTS"]),
        ca_bundle=values["COMMWEB_CA_BUNDLE"],
        http_proxy=values["COMMWEB_HTTP_PROXY"],
        instance=str(values["COMMWEB_INSTANCE"]),
        drift_check_hours=_hours(values["COMMWEB_DRIFT_CHECK_HOURS"]),
    )
