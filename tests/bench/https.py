"""HTTPS on the measured server, as on every homeserver that is not on the site's own machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commweb.site.homeserver_config import LOOPBACK, free_port
from tests.certificates import self_signed

__all__ = ["Secured"]


@dataclass(frozen=True)
class Secured:
    """A certificate of its own for the loopback address, and the port that Synapse serves it on.

    Source: ``listeners`` and ``tls_certificate_path`` of Synapse's configuration manual.
    """

    certificate: Path
    key: Path
    port: int

    @classmethod
    def make(cls, folder: Path) -> Secured:
        """Write certificate and key into ``folder``; choose a free port."""
        made = cls(folder / "certificate.pem", folder / "key.pem", free_port())
        certificate, key = self_signed(LOOPBACK)
        made.certificate.write_bytes(certificate)
        made.key.write_bytes(key)
        return made

    @property
    def base_url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def config(self, plain_port: int) -> dict[str, Any]:
        """Keys of homeserver.yaml: HTTP on ``plain_port`` for whoever looks after the server,
        HTTPS beside it for those who are measured."""
        shared = {
            "bind_addresses": [LOOPBACK],
            "type": "http",
            "resources": [{"names": ["client"], "compress": False}],
        }
        return {
            "listeners": [
                {"port": plain_port, "tls": False, **shared},
                {"port": self.port, "tls": True, **shared},
            ],
            "tls_certificate_path": str(self.certificate),
            "tls_private_key_path": str(self.key),
        }
