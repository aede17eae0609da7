"""What stands in the folder of a local Synapse, and which port it listens on.

``homeserver.yaml`` is written as JSON, which is YAML too, so it can be read back without a YAML
library. Its secrets and its port are made once and kept.

Source: "Configuring Synapse" (configuration manual) of the Synapse documentation.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commweb.site.homeserver_install import HomeserverError

__all__ = ["LOOPBACK", "free_port", "port_is_free", "read_config", "write_config", "write_private"]

LOOPBACK = "127.0.0.1"
_SECRETS = ("registration_shared_secret", "macaroon_secret_key", "form_secret")


def port_is_free(port: int) -> bool:
    """Whether a program could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; only its owner may read it (mode 600)."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def read_config(folder: Path) -> dict[str, Any] | None:
    """The configuration an earlier start left; None in a new folder.

    Raises `HomeserverError` when there is one that cannot be understood.
    """
    path = folder / "homeserver.yaml"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        port, *_ = [int(listener["port"]) for listener in config["listeners"]]
        if not (0 < port < 65536 and all(isinstance(config[key], str) for key in _SECRETS)):
            raise ValueError(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise HomeserverError(
            f"The homeserver's folder {folder} is damaged: homeserver.yaml cannot be read. "
            "Move the folder away or delete it, and start again."
        ) from error
    return dict(config)


def write_config(
    folder: Path,
    *,
    server_name: str,
    port: int,
    refreshable_access_token_lifetime: str | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Write all that Synapse reads at its start and answer the configuration.

    Secrets of an earlier configuration are kept. ``extra`` holds further keys of homeserver.yaml.
    """
    earlier = read_config(folder) or {}
    named = earlier.get("server_name", server_name)
    if named != server_name:
        raise HomeserverError(
            f"The folder {folder} belongs to a homeserver named {named}, not {server_name}. "
            "Use another folder."
        )
    kept = {key: earlier.get(key) or secrets.token_urlsafe(32) for key in _SECRETS}
    config = _config(folder, server_name, port) | kept
    if refreshable_access_token_lifetime is not None:
        config["refreshable_access_token_lifetime"] = refreshable_access_token_lifetime
    config |= extra
    write_private(folder / "log.yaml", json.dumps(_log_config(), indent=2))
    if not (folder / "signing.key").exists():
        write_private(folder / "signing.key", _signing_key())
    write_private(folder / "homeserver.yaml", json.dumps(config, indent=2))
    return config


def _config(folder: Path, server_name: str, port: int) -> dict[str, Any]:
    listener = {
        "port": port,
        "bind_addresses": [LOOPBACK],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client"], "compress": False}],
    }
    return {
        "server_name": server_name,
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "log_config": str(folder / "log.yaml"),
        "report_stats": False,
        "enable_registration": False,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
    }


def _log_config() -> dict[str, Any]:
    line = "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s"
    return {
        "version": 1,
        "formatters": {"line": {"format": line}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["console"]},
        "disable_existing_loggers": False,
    }


def _signing_key() -> str:
    """A new server key as Synapse stores it: algorithm, version, unpadded base64 of the seed."""
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return f"ed25519 a_{secrets.token_hex(2)} {seed}\n"
